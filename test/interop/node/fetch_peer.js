// SPDX-License-Identifier: Apache-2.0

// Drives a hub with Node's own fetch; the commands are those of every peer script:
// send QUEUE BODY... | consume QUEUE COUNT | publish TOPIC BODY | subscribe TOPIC COUNT
// call SERVICE BODY | serve SERVICE COUNT

const name = 'fetch';
const { HUB_HOST, HUB_REST } = process.env;
const base = `http://${HUB_HOST}:${HUB_REST}/v1`;
const authorization = `Basic ${Buffer.from('guest:guest').toString('base64')}`;
const wait = 20_000; // milliseconds for anything that must come

const say = (text) => console.log(text);
const path = (...segments) => segments.map((s) => `/${encodeURIComponent(s)}`).join('');

// ask sends a request; a status of 400 or more is an error.
const ask = async (method, target, body, headers = {}) => {
  const answer = await fetch(base + target, {
    method,
    body,
    headers: { authorization, ...headers },
    signal: AbortSignal.timeout(wait),
  });
  if (!answer.ok) throw new Error(`${method} ${target}: ${answer.status} ${await answer.text()}`);
  return answer;
};

const text = { 'content-type': 'text/plain' };
const json = (value) => [JSON.stringify(value), { 'content-type': 'application/json' }];

const declare = (queue) => ask('PUT', path('queues', queue), ...json({}));

// lease takes one message, or returns undefined.
const lease = async (queue, wait_ms = 10_000) => {
  const terms = json({ max: 1, wait_ms, lease_ms: 10_000 });
  const answer = await ask('POST', path('queues', queue, 'leases'), ...terms);
  return answer.status === 204 ? undefined : (await answer.json()).messages[0];
};

const commands = {
  async send(queue, ...bodies) {
    await declare(queue);
    for (const body of bodies) await ask('POST', path('queues', queue, 'messages'), body, text);
    say('sent');
  },
  async consume(queue, count) {
    await declare(queue);
    say('ready');
    for (let left = Number(count); left > 0; left -= 1) {
      const message = await lease(queue);
      say(message.body);
      await ask('DELETE', path('leases', message.lease));
    }
  },
  async publish(topic, body) {
    await ask('POST', path('topics', topic, 'messages'), body, text);
    say('sent');
  },
  async subscribe(topic, count) {
    const stream = await ask('GET', path('topics', topic, 'stream'));
    let rest = '';
    let left = Number(count);
    for await (const chunk of stream.body.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop();
      for (const line of lines) {
        if (line.startsWith('retry:')) say('ready');
        if (!line.startsWith('data:')) continue;
        say(line.slice('data:'.length).replace(/^ /, ''));
        left -= 1;
        if (left === 0) process.exit(0);
      }
    }
  },
  async call(service, body) {
    const answer = await ask('POST', path('services', service, 'do'), body, {
      ...text,
      prefer: 'wait=10',
    });
    say(await answer.text());
  },
  async serve(service, count) {
    await declare(service);
    let message = await lease(service, 0); // the hub knows the worker then
    say('ready');
    for (let left = Number(count); left > 0; ) {
      if (message) {
        const answer = `${name} heard ${message.body}`;
        await ask('POST', path('leases', message.lease, 'reply'), answer, text);
        left -= 1;
      }
      message = left > 0 ? await lease(service) : undefined;
    }
  },
};

const [command, ...args] = process.argv.slice(2);
await commands[command](...args);
