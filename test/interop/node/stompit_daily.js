// SPDX-License-Identifier: Apache-2.0

// What stompit's users do every day. Prints a line for each task, with what came back; ends with
// an error when it is something else.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { promisify } from 'node:util';

import stompit from 'stompit';

import { box, come, expect, say } from './daily.js';

const { HUB_HOST, HUB_STOMP } = process.env;
const server = (headers = {}) => ({
  host: HUB_HOST,
  port: Number(HUB_STOMP),
  connectHeaders: { host: '/', login: 'guest', passcode: 'guest', 'heart-beat': '1000,1000', ...headers },
});

const connect = (headers) => come(promisify(stompit.connect)(server(headers)), 'a connection');

// send resolves with the receipt.
const send = (client, headers, body) =>
  come(
    new Promise((resolve, reject) => {
      const frame = client.send(headers, { onReceipt: () => resolve('receipt'), onError: reject });
      frame.end(body);
    }),
    'a receipt',
  );

// subscribe puts messages with their bodies into a box.
const subscribe = (client, headers) => {
  const got = box();
  client.subscribe(headers, (error, message) => {
    if (error) return;
    const chunks = [];
    message.on('data', (chunk) => chunks.push(chunk));
    message.on('end', () => got.put({ message, body: Buffer.concat(chunks) }));
  });
  return got;
};

const disconnect = (client) => come(promisify(client.disconnect.bind(client))(), 'the end');

// What fails is given back once, then goes to the dead letters.
const work = async (version) => {
  const client = await connect({ 'accept-version': version });
  const [queue, dead] = [`/queue/stompit-${version}`, `/queue/stompit-dead-${version}`];
  const lost = subscribe(client, { destination: dead });
  const got = subscribe(client, {
    destination: queue,
    ack: 'client-individual',
    'prefetch-count': '1',
    'x-dead-letter-exchange': '',
    'x-dead-letter-routing-key': dead.replace('/queue/', ''),
  });
  const octets = Buffer.from(Array.from({ length: 256 }, (_, n) => n));
  const value = 'a:b\nd\\';
  await send(
    client,
    { destination: queue, persistent: 'true', 'my-header': value, 'content-length': 256 },
    octets,
  );
  await send(client, { destination: queue, persistent: 'true' }, 'bad');
  const first = await got.take();
  assert.equal(first.message.headers['my-header'], value);
  expect(version, octets.equals(first.body), true);
  client.ack(first.message);
  client.nack((await got.take()).message);
  const again = await got.take();
  expect('again', [`${again.body}`, again.message.headers.redelivered], ['bad', 'true']);
  client.nack(again.message, { requeue: 'false' });
  expect('dead', `${(await lost.take()).body}`, 'bad');
  await disconnect(client);
};

const topic = async () => {
  const readers = [await connect(), await connect()];
  const got = readers.map((reader) => subscribe(reader, { destination: '/topic/stompit.*' }));
  // A receipt of the same connection says that what stood before it was taken too.
  for (const reader of readers) await send(reader, { destination: '/topic/nobody' }, 'x');
  const client = await connect();
  await send(client, { destination: '/topic/stompit.news' }, 'goal');
  expect('topic', [`${(await got[0].take()).body}`, `${(await got[1].take()).body}`], ['goal', 'goal']);
  await Promise.all([...readers, client].map(disconnect));
};

const transactions = async () => {
  const client = await connect();
  const got = subscribe(client, { destination: '/queue/stompit-tx' });
  for (const end of ['abort', 'commit']) {
    const transaction = client.begin();
    for (const body of ['one', 'two']) {
      transaction.send({ destination: '/queue/stompit-tx' }).end(`${body} ${end}`);
    }
    await come(
      new Promise((resolve) => {
        transaction[end]({ onReceipt: resolve });
      }),
      end,
    );
  }
  const bodies = [`${(await got.take()).body}`, `${(await got.take()).body}`];
  expect('transaction', bodies, ['one commit', 'two commit']);
  await disconnect(client);
};

const asking = async () => {
  const [service, asker] = [await connect(), await connect()];
  const questions = subscribe(service, { destination: '/queue/stompit-doubler' });
  const answers = box();
  // Answers come for a subscription that nobody made, named after the temporary queue.
  asker.setImplicitSubscription('/temp-queue/answers', 'auto', (_error, message) =>
    message.readString('utf8', (_fault, body) =>
      answers.put([body, message.headers['correlation-id']]),
    ),
  );
  await send(
    asker,
    {
      destination: '/queue/stompit-doubler',
      'reply-to': '/temp-queue/answers',
      'correlation-id': 'c',
    },
    'ab',
  );
  const { message, body } = await questions.take();
  const { 'reply-to': destination, 'correlation-id': id } = message.headers;
  await send(service, { destination, 'correlation-id': id }, `${body}${body}`);
  expect('answer', await answers.take(), ['abab', 'c']);
  await disconnect(service);
  await disconnect(asker);
};

// stompit 1.0.0 throws what an ERROR frame says where nobody can catch it.
const refused = async () => {
  const thrown = () =>
    come(
      new Promise((resolve) => {
        process.once('uncaughtException', resolve);
      }),
      'an error',
    );
  const client = await connect();
  client.on('error', () => {}); // of the connection that ends
  client.send({ destination: '/nowhere/x' }).end('lost');
  expect('refused', (await thrown()).message, 'Unknown destination');
  stompit.connect(server({ passcode: 'wrong' }), () => {});
  expect('login', (await thrown()).message, 'Bad CONNECT');
};

// Neither side takes the silence of three heart-beats for the end.
const heartbeats = async () => {
  const client = await connect();
  const lost = once(client, 'error').then(([error]) => error.message);
  const silence = new Promise((resolve) => {
    setTimeout(resolve, 3500, 'alive');
  });
  expect('heart-beats', await Promise.race([lost, silence]), 'alive');
  await disconnect(client);
};

// A channel connects and subscribes again by itself after the hub was killed.
const restart = async () => {
  const failover = new stompit.ConnectFailover([server()], {
    initialReconnectDelay: 100,
    useExponentialBackOff: false,
  });
  const channel = new stompit.Channel(failover, { alwaysConnected: true });
  const queue = '/queue/stompit-restart';
  const sent = promisify(channel.send.bind(channel));
  await come(sent({ destination: queue, persistent: 'true' }, 'before'), 'a receipt');
  const got = subscribe(channel, { destination: queue, ack: 'client-individual' });
  const first = await got.take();
  expect('first', [`${first.body}`, first.message.headers.redelivered], ['before', 'false']);
  say('restart');
  const second = await got.take();
  expect('second', [`${second.body}`, second.message.headers.redelivered], ['before', 'true']);
  channel.ack(second.message);
  await come(sent({ destination: '/topic/nobody' }, 'x'), 'a receipt'); // the ACK was taken
  channel.close();
};

for (const version of ['1.1', '1.2']) await work(version);
for (const task of [topic, transactions, asking, refused, heartbeats, restart]) await task();
process.exit(0); // a channel leaves its socket open
