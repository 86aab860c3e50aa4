// SPDX-License-Identifier: Apache-2.0

// What @stomp/stompjs's users do every day, over TCP or WebSocket. Prints a line for each task, with what came
// back; ends with an error when it is something else.

import { Client, Versions } from '@stomp/stompjs';

import { box, come, expect, say } from './daily.js';
import { webSocketFactory } from './stompjs_socket.js';

// connect activates a client; what happens to it goes into its boxes.
const connect = async (options = {}) => {
  const [connected, errors] = [box(), box()];
  const client = new Client({
    webSocketFactory,
    connectHeaders: { login: 'guest', passcode: 'guest' },
    heartbeatIncoming: 1000,
    heartbeatOutgoing: 1000,
    reconnectDelay: 0,
    onConnect: connected.put,
    onStompError: (frame) => errors.put(frame.headers.message),
    ...options,
  });
  client.activate();
  await connected.take();
  return Object.assign(client, { errors });
};

let receipts = 0;

// settled performs a step that carries a receipt header and waits for the receipt.
const settled = (client, step) =>
  come(
    new Promise((resolve) => {
      receipts += 1;
      const receipt = `r${receipts}`;
      client.watchForReceipt(receipt, resolve);
      step({ receipt });
    }),
    'a receipt',
  );

const send = (client, destination, content, headers = {}) =>
  settled(client, (receipt) =>
    client.publish({
      destination,
      ...(typeof content === 'string' ? { body: content } : { binaryBody: content }),
      headers: { persistent: 'true', ...headers, ...receipt },
    }),
  );

const subscribe = async (client, destination, headers = {}) => {
  const got = box();
  await settled(client, (receipt) =>
    client.subscribe(destination, got.put, { ...headers, ...receipt }),
  );
  return got;
};

// What fails is given back once, then goes to the dead letters.
const work = async (version) => {
  const client = await connect({ stompVersions: new Versions([version]) });
  expect('version', client.connectedVersion, version);
  const [queue, dead] = [`/queue/stompjs-${version}`, `/queue/stompjs-dead-${version}`];
  const lost = await subscribe(client, dead);
  const got = await subscribe(client, queue, {
    ack: 'client-individual',
    'prefetch-count': '1',
    'x-dead-letter-exchange': '',
    'x-dead-letter-routing-key': dead.replace('/queue/', ''),
  });
  const octets = Uint8Array.from({ length: 256 }, (_, n) => n);
  const value = version === '1.2' ? 'a:b\nd\\' : 'plain'; // escaped in 1.2 only
  await send(client, queue, octets, { 'my-header': value });
  await send(client, queue, 'bad');
  const first = await got.take();
  const same = Buffer.from(first.binaryBody).equals(Buffer.from(octets));
  expect('first', [same, first.headers['my-header'] === value], [true, true]);
  first.ack();
  (await got.take()).nack();
  const again = await got.take();
  expect('again', [again.body, again.headers.redelivered], ['bad', 'true']);
  again.nack({ requeue: 'false' });
  expect('dead', (await lost.take()).body, 'bad');
  await client.deactivate();
};

const topic = async () => {
  const readers = [await connect(), await connect()];
  const got = await Promise.all(readers.map((reader) => subscribe(reader, '/topic/stompjs.*')));
  const client = await connect();
  await send(client, '/topic/stompjs.news', 'goal');
  expect('topic', [(await got[0].take()).body, (await got[1].take()).body], ['goal', 'goal']);
  await Promise.all([...readers, client].map((c) => c.deactivate()));
};

// A frame is sent in pieces of 8 KiB, each a WebSocket message where there are any: of text, then of
// octets.
const large = async () => {
  for (const forceBinaryWSFrames of [false, true]) {
    const client = await connect({ splitLargeFrames: true, forceBinaryWSFrames });
    const got = await subscribe(client, '/topic/stompjs-large');
    const content = 'großes Ding '.repeat(10_000);
    await send(client, '/topic/stompjs-large', content, { 'content-type': 'text/plain' });
    expect('large', (await got.take()).body === content, true);
    await client.deactivate();
  }
};

// A durable subscription reads what was published while it was away.
const durable = async () => {
  const headers = { id: 'mine', durable: 'true', 'auto-delete': 'false' };
  let client = await connect();
  await subscribe(client, '/topic/stompjs-durable', headers);
  await client.deactivate();
  client = await connect();
  await send(client, '/topic/stompjs-durable', 'meanwhile');
  const got = await subscribe(client, '/topic/stompjs-durable', headers);
  expect('durable', (await got.take()).body, 'meanwhile');
  await settled(client, (receipt) => client.unsubscribe('mine', { durable: 'true', ...receipt }));
  await client.deactivate();
};

const transactions = async () => {
  const client = await connect();
  const got = await subscribe(client, '/queue/stompjs-tx');
  for (const end of ['abort', 'commit']) {
    const transaction = client.begin();
    for (const body of ['one', 'two']) {
      client.publish({
        destination: '/queue/stompjs-tx',
        body: `${body} ${end}`,
        headers: { transaction: transaction.id },
      });
    }
    transaction[end]();
  }
  expect('transaction', [(await got.take()).body, (await got.take()).body], ['one commit', 'two commit']);
  await client.deactivate();
};

const asking = async () => {
  const [answers, service] = [box(), await connect()];
  // Answers come without a SUBSCRIBE of ours.
  const asker = await connect({ onUnhandledMessage: answers.put });
  const questions = await subscribe(service, '/queue/stompjs-doubler');
  await send(asker, '/queue/stompjs-doubler', 'ab', {
    'reply-to': '/temp-queue/answers',
    'correlation-id': 'c',
  });
  const { headers, body } = await questions.take();
  await send(service, headers['reply-to'], body.repeat(2), {
    'correlation-id': headers['correlation-id'],
  });
  const answer = await answers.take();
  expect('answer', [answer.body, answer.headers['correlation-id']], ['abab', 'c']);
  await service.deactivate();
  await asker.deactivate();
};

const refused = async () => {
  const closed = box();
  const client = await connect({ onWebSocketClose: closed.put });
  client.publish({ destination: '/nowhere/x', body: 'lost' });
  expect('refused', await client.errors.take(), 'Unknown destination');
  await closed.take(); // an ERROR ends the connection
  const wrong = box();
  const other = new Client({
    webSocketFactory,
    connectHeaders: { login: 'guest', passcode: 'wrong' },
    reconnectDelay: 0,
    onStompError: (frame) => wrong.put(frame.headers.message),
  });
  other.activate();
  expect('login', await wrong.take(), 'Bad CONNECT');
  await other.deactivate();
};

// Neither side takes the silence of three heart-beats for the end.
const heartbeats = async () => {
  const closed = box();
  const client = await connect({ onWebSocketClose: () => closed.put('closed') });
  const silence = new Promise((resolve) => {
    setTimeout(resolve, 3500, 'alive');
  });
  expect('heart-beats', await Promise.race([closed.take(), silence]), 'alive');
  await client.deactivate();
};

// A client connects again by itself after the hub was killed; its onConnect subscribes again.
const restart = async () => {
  const got = box();
  const client = await connect({ reconnectDelay: 100 });
  const queue = '/queue/stompjs-restart';
  const listen = () => client.subscribe(queue, got.put, { ack: 'client-individual' });
  await send(client, queue, 'before');
  client.onConnect = listen;
  listen();
  const first = await got.take();
  expect('first', [first.body, first.headers.redelivered], ['before', 'false']);
  say('restart');
  const second = await got.take();
  expect('second', [second.body, second.headers.redelivered], ['before', 'true']);
  await settled(client, (receipt) => second.ack(receipt));
  await client.deactivate();
};

for (const version of [Versions.V1_1, Versions.V1_2]) await work(version);
for (const task of [topic, large, durable, transactions, asking, refused, heartbeats, restart]) {
  await task();
}
