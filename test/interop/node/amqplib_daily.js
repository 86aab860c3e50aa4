// SPDX-License-Identifier: Apache-2.0

// What amqplib's users do every day, with its promises and with its callbacks. Prints a line for
// each task, with what came back; ends with an error when it is something else.

import assert from 'node:assert/strict';
import { once } from 'node:events';

import amqplib from 'amqplib';
import callbacks from 'amqplib/callback_api';

import { box, come, expect, say } from './daily.js';

const { HUB_HOST, HUB_AMQP } = process.env;
const url = `amqp://guest:guest@${HUB_HOST}:${HUB_AMQP}/?heartbeat=1`;
const text = (message) => message.content.toString();

const promises = {
  async hello(connection) {
    const channel = await connection.createChannel();
    const { queue } = await channel.assertQueue('node-hello');
    const headers = { n: 1, deep: { list: ['a', 2, true], nothing: null } };
    channel.sendToQueue(queue, Buffer.from('hello'), {
      persistent: true,
      messageId: 'm',
      timestamp: 1700000000,
      contentType: 'text/plain',
      headers,
    });
    const message = await channel.get(queue);
    const { messageId, timestamp, contentType, deliveryMode } = message.properties;
    expect('hello', text(message), 'hello');
    assert.deepEqual(message.properties.headers, headers);
    expect('properties', [messageId, timestamp, contentType, deliveryMode], [
      'm', 1700000000, 'text/plain', 2,
    ]);
    channel.ack(message);
    expect('empty', await channel.get(queue), false);
    await channel.close();
  },

  async confirms(connection) {
    const channel = await connection.createConfirmChannel();
    const returned = box();
    channel.on('return', (message) => returned.put([message.fields.replyText, text(message)]));
    const { queue } = await channel.assertQueue('node-full', {
      maxLength: 1,
      arguments: { 'x-overflow': 'reject-publish' },
    });
    const send = (body, options) =>
      new Promise((resolve) => {
        channel.sendToQueue(queue, Buffer.from(body), options, resolve);
      });
    expect('fits', await send('fits', { persistent: true }), null);
    expect('full', (await send('does not', { persistent: true })).message, 'message nacked');
    channel.sendToQueue('node-no', Buffer.from('lost'), { mandatory: true });
    await channel.waitForConfirms();
    expect('returned', await returned.take(), ['NO_ROUTE', 'lost']);
    for (let n = 0; n < 1000; n += 1) channel.publish('amq.topic', 'nobody', Buffer.from('x'));
    await channel.waitForConfirms();
    expect('purged', await channel.purgeQueue(queue), { messageCount: 1 });
    await channel.close();
  },

  async routing(connection) {
    const channel = await connection.createChannel();
    const got = box();
    const lost = 'node-lost';
    await channel.assertExchange(lost, 'fanout', { autoDelete: true });
    await channel.assertExchange('node-topic', 'topic', { alternateExchange: lost, durable: false });
    await channel.assertExchange('node-headers', 'headers', { durable: false });
    const bound = async (exchange, key, options) => {
      const { queue } = await channel.assertQueue('', { exclusive: true });
      await channel.bindQueue(queue, exchange, key, options);
      await channel.consume(queue, (m) => got.put([exchange, text(m)]), { noAck: true });
    };
    await bound('node-topic', 'log.*');
    await bound(lost, '');
    await bound('node-headers', '', { 'x-match': 'all', a: 1, b: 'two' });
    channel.publish('node-topic', 'log.a', Buffer.from('logged'));
    expect('topic', await got.take(), ['node-topic', 'logged']);
    channel.publish('node-topic', 'log.a.b', Buffer.from('unrouted'));
    expect('alternate', await got.take(), [lost, 'unrouted']);
    channel.publish('node-headers', '', Buffer.from('no'), { headers: { a: 1, b: 2 } });
    channel.publish('node-headers', '', Buffer.from('yes'), { headers: { a: 1, b: 'two', c: 3 } });
    expect('headers', await got.take(), ['node-headers', 'yes']);
    await channel.deleteExchange('node-topic');
    await channel.deleteExchange('node-headers');
    await channel.close();
  },

  // What fails is given back once, then goes to the dead letters; urgent work comes first.
  async working(connection) {
    const channel = await connection.createChannel();
    await channel.prefetch(1);
    const { queue: dead } = await channel.assertQueue('node-dead');
    const { queue } = await channel.assertQueue('node-work', {
      deadLetterExchange: '', deadLetterRoutingKey: dead, maxPriority: 5,
    });
    for (const [body, priority] of [['low', 0], ['bad', 5], ['mid', 3]]) {
      channel.sendToQueue(queue, Buffer.from(body), { persistent: true, priority });
    }
    const done = box();
    const { consumerTag } = await channel.consume(queue, (message) => {
      if (text(message) !== 'bad') channel.ack(message);
      else channel.nack(message, false, !message.fields.redelivered);
      done.put(text(message));
    });
    const order = [];
    while (order.length < 4) order.push(await done.take());
    expect('worked', order, ['bad', 'bad', 'mid', 'low']);
    await channel.cancel(consumerTag);
    const message = await channel.get(dead, { noAck: true });
    const [death] = message.properties.headers['x-death'];
    expect('dead', [text(message), death.queue, death.reason], ['bad', queue, 'rejected']);
    await channel.assertQueue('node-brief', {
      messageTtl: 50, deadLetterExchange: '', deadLetterRoutingKey: dead,
    });
    await channel.consume(dead, (m) => done.put(text(m)), { noAck: true });
    channel.sendToQueue('node-brief', Buffer.from('late'));
    expect('expired', await done.take(), 'late');
    await channel.close();
  },

  async rpc(connection) {
    const [service, asking] = [await connection.createChannel(), await connection.createChannel()];
    const { queue } = await service.assertQueue('node-doubler', { durable: false });
    await service.consume(queue, (message) => {
      const { replyTo, correlationId } = message.properties;
      service.sendToQueue(replyTo, Buffer.from(text(message).repeat(2)), { correlationId });
      service.ack(message);
    });
    const answers = box();
    await asking.consume(
      'amq.rabbitmq.reply-to',
      (m) => answers.put([m.properties.correlationId, text(m)]),
      { noAck: true },
    );
    for (const correlationId of ['1', '2']) {
      asking.sendToQueue(queue, Buffer.from('ab'), { correlationId, replyTo: 'amq.rabbitmq.reply-to' });
    }
    expect('answers', [await answers.take(), await answers.take()], [['1', 'abab'], ['2', 'abab']]);
    await service.close();
    await asking.close();
  },

  async cancelled(connection) {
    const [channel, other] = [await connection.createChannel(), await connection.createChannel()];
    const got = box();
    await channel.assertQueue('node-gone');
    await channel.consume('node-gone', got.put);
    await other.deleteQueue('node-gone');
    expect('cancelled', await got.take(), null);
    await channel.close();
    await other.close();
  },

  async errors(connection) {
    for (const [code, step] of [
      [404, (channel) => channel.checkQueue('node-absent')],
      [404, (channel) => channel.checkExchange('node-absent')],
      [403, (channel) => channel.assertQueue('amq.node')],
      [406, (channel) => channel.assertQueue('node-full', { durable: false })],
    ]) {
      const channel = await connection.createChannel();
      const failed = once(channel, 'error');
      await assert.rejects(step(channel), { code });
      const [error] = await come(failed, 'an error event');
      expect('error', error.code, code);
    }
    const channel = await connection.createChannel();
    expect('still open', await channel.checkQueue('node-full'), {
      queue: 'node-full', messageCount: 0, consumerCount: 0,
    });
    await channel.close();
  },
};

// promised makes a promise of a call with a callback at its end.
const promised = (call) =>
  come(
    new Promise((resolve, reject) => {
      call((error, value) => (error ? reject(error) : resolve(value)));
    }),
    'a callback',
  );

// withCallbacks sends with confirms, consumes with a limit, and gets, all with callbacks.
const withCallbacks = async () => {
  const connection = await promised((done) => callbacks.connect(url, done));
  const channel = await promised((done) => connection.createConfirmChannel(done));
  const { queue } = await promised((done) =>
    channel.assertQueue('', { exclusive: true }, done),
  );
  for (let n = 0; n < 50; n += 1) {
    channel.sendToQueue(queue, Buffer.from(String(n)), {}, (error) => assert.ifError(error));
  }
  await promised((done) => channel.waitForConfirms(done));
  const first = await promised((done) => channel.get(queue, {}, done));
  expect('callback get', [text(first), first.fields.messageCount], ['0', 49]);
  channel.nack(first);
  channel.prefetch(10);
  const bodies = [];
  await promised((done) =>
    channel.consume(queue, (message) => {
      bodies.push(Number(text(message)));
      if (bodies.length % 10 === 0) channel.ack(message, true);
      if (bodies.length === 50) done(null);
    }),
  );
  expect('callback consume', bodies.reduce((sum, n) => sum + n), 1225);
  const failed = once(channel, 'error');
  channel.checkQueue('node-absent', (error) => assert.equal(error.code, 404));
  expect('callback error', (await come(failed, 'an error event'))[0].code, 404);
  await promised((done) => connection.close(done));
};

// restart consumes before and after the hub is killed, with amqplib's own recovery.
const restart = async () => {
  const got = box();
  let channel;
  const connection = await amqplib.connect(url, {
    recovery: {
      initialDelay: 100,
      factor: 1,
      maxRetries: 100,
      async setup(model) {
        channel = await model.createConfirmChannel();
        channel.on('error', () => {}); // the killed hub's
        await channel.assertQueue('node-restart');
        await channel.consume('node-restart', (message) => got.put(message));
      },
    },
  });
  connection.on('error', () => {});
  channel.sendToQueue('node-restart', Buffer.from('before'), { persistent: true });
  await channel.waitForConfirms();
  const first = await got.take();
  expect('first', [text(first), first.fields.redelivered], ['before', false]);
  say('restart');
  const second = await got.take();
  expect('second', [text(second), second.fields.redelivered], ['before', true]);
  channel.ack(second);
  await channel.close(); // a connection's close may overtake what its channels wrote
  await connection.close();
};

const connection = await amqplib.connect(url);
for (const task of Object.values(promises)) await task(connection);
await connection.close();
await withCallbacks();
await restart();
