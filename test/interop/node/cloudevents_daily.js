// SPDX-License-Identifier: Apache-2.0

// What users of the CloudEvents SDK do: events in each mode to the hub, and back out of leases. Prints a
// line for each task, with what came back; ends with an error when it is something else.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';

import amqp from 'amqplib';
import { CloudEvent, HTTP, Mode, emitterFor, httpTransport } from 'cloudevents';

import { box, say } from './daily.js';

const { HUB_HOST, HUB_REST, HUB_AMQP } = process.env;
const base = `http://${HUB_HOST}:${HUB_REST}/v1/queues/events`;

const ask = async (method, target, body, headers) => {
  const answer = await fetch(base + target, { method, body, headers });
  if (!answer.ok) throw new Error(`${method} ${target}: ${answer.status} ${await answer.text()}`);
  return answer;
};

// taken leases one event; accept says in which mode it comes out.
const taken = async (accept) => {
  const answer = await ask('POST', '/leases', '{"wait_ms":5000}', {
    'content-type': 'application/json',
    accept,
  });
  const event = HTTP.toEvent({
    headers: Object.fromEntries(answer.headers),
    body: await answer.text(),
  });
  await ask('DELETE', `/../../leases/${answer.headers.get('parley-lease')}`);
  return event;
};

const event = (id) =>
  new CloudEvent({
    id,
    type: 'order.placed',
    source: '/shop',
    subject: 'summer-sale', // this SDK does not percent-encode attributes
    time: '2026-11-29T10:00:00.000Z',
    extension: 'x',
    data: { count: 3, text: 'å' },
  });

// expect prints a task whose outcome is what it should be.
const expect = (name, value, want) => {
  assert.deepEqual(value, want, name);
  say(name);
};

const shown = (e) => [e.id, e.type, e.source, e.subject, e.time, e.extension, e.data];

await ask('PUT', '', '{}', { 'content-type': 'application/json' });

for (const mode of [Mode.BINARY, Mode.STRUCTURED]) {
  const emit = emitterFor(httpTransport(`${base}/messages`), { mode });
  for (const accept of ['application/octet-stream', 'application/cloudevents+json']) {
    await emit(event('1'));
    expect(`${mode} ${accept}`, shown(await taken(accept)), shown(event('1')));
  }
}

const batch = await ask('POST', '/messages', JSON.stringify([event('1'), event('2')]), {
  'content-type': 'application/cloudevents-batch+json',
});
const { results } = await batch.json();
expect(
  'batch',
  results.map((r) => [r.status, r.message_id]),
  [
    [201, '1'],
    [201, '2'],
  ],
);
for (const id of ['1', '2']) {
  expect('batched', shown(await taken('application/octet-stream')), shown(event(id)));
}

// What subscriptions post is read by the SDK too.
const posts = box();
const target = createServer(async (request, answer) => {
  if (request.method === 'OPTIONS') {
    answer.setHeader('WebHook-Allowed-Origin', '*');
  } else {
    let body = '';
    for await (const part of request) body += part;
    posts.put(HTTP.toEvent({ headers: request.headers, body }));
    answer.statusCode = 204;
  }
  answer.end();
});
target.listen(0, '127.0.0.1');
await once(target, 'listening');
for (const format of ['binary', 'structured', 'batch']) {
  await ask(
    'PUT',
    '/../../subscriptions/sdk',
    JSON.stringify({
      source: { queue: 'events' },
      push: { url: `http://127.0.0.1:${target.address().port}/`, format },
    }),
    { 'content-type': 'application/json' },
  );
  await emitterFor(httpTransport(`${base}/messages`))(event(format));
  const got = await posts.take();
  const [first] = Array.isArray(got) ? got : [got];
  assert.equal(Array.isArray(got), format === 'batch');
  expect(`posted ${format}`, shown(first), shown(event(format)));
  await ask('DELETE', '/../../subscriptions/sdk');
}
target.close();

// Events are messages of AMQP, in the names of its binding.
const connection = await amqp.connect(`amqp://guest:guest@${HUB_HOST}:${HUB_AMQP}/`);
const channel = await connection.createConfirmChannel();
await emitterFor(httpTransport(`${base}/messages`))(event('1'));
const message = await channel.get('events', { noAck: true });
const { cloudEvents_id: id, cloudEvents_type: type, cloudEvents_extension: extension } =
  message.properties.headers;
expect(
  'to AMQP',
  [id, type, extension, JSON.parse(message.content)],
  ['1', 'order.placed', 'x', event('1').data],
);
for (const [mode, accept] of [
  ['binary', 'application/octet-stream'],
  ['structured', 'application/cloudevents+json'],
]) {
  const { data, datacontenttype, ...attributes } = event('1').toJSON();
  channel.sendToQueue('events', Buffer.from(JSON.stringify(data)), {
    contentType: datacontenttype ?? 'application/json',
    headers: Object.fromEntries(
      Object.entries(attributes).map(([name, value]) => [`cloudEvents:${name}`, value]),
    ),
  });
  await channel.waitForConfirms();
  expect(`from AMQP ${mode}`, shown(await taken(accept)), shown(event('1')));
}
await connection.close();
