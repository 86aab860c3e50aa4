// SPDX-License-Identifier: Apache-2.0

// Drives a hub with npm's amqplib; the commands are those of every peer script:
// send QUEUE BODY... | consume QUEUE COUNT | publish TOPIC BODY | subscribe TOPIC COUNT
// call SERVICE BODY | serve SERVICE COUNT

import amqplib from 'amqplib';

const name = 'amqplib';
const say = (text) => console.log(text);

// take consumes until count messages were handled.
const take = (channel, queue, count, options, handle) =>
  new Promise((resolve, reject) => {
    channel
      .consume(
        queue,
        async (message) => {
          handle(message);
          count -= 1;
          if (count === 0) resolve();
        },
        options,
      )
      .then(() => say('ready'), reject);
  });

const commands = {
  async send(connection, queue, ...bodies) {
    const channel = await connection.createConfirmChannel();
    await channel.assertQueue(queue);
    for (const body of bodies) {
      channel.sendToQueue(queue, Buffer.from(body), { persistent: true });
    }
    await channel.waitForConfirms();
    say('sent');
  },

  async consume(connection, queue, count) {
    const channel = await connection.createChannel();
    await channel.assertQueue(queue);
    await channel.prefetch(1);
    await take(channel, queue, Number(count), {}, (message) => {
      say(message.content.toString());
      channel.ack(message);
    });
    await channel.close();
  },

  async publish(connection, topic, body) {
    const channel = await connection.createConfirmChannel();
    channel.publish('amq.topic', topic, Buffer.from(body));
    await channel.waitForConfirms();
    say('sent');
  },

  async subscribe(connection, topic, count) {
    const channel = await connection.createChannel();
    const { queue } = await channel.assertQueue('', { exclusive: true });
    await channel.bindQueue(queue, 'amq.topic', topic);
    await take(channel, queue, Number(count), { noAck: true }, (message) =>
      say(message.content.toString()),
    );
  },

  async call(connection, service, body) {
    const channel = await connection.createChannel();
    const answer = await new Promise((resolve, reject) => {
      channel
        .consume('amq.rabbitmq.reply-to', resolve, { noAck: true })
        .then(() =>
          channel.sendToQueue(service, Buffer.from(body), {
            replyTo: 'amq.rabbitmq.reply-to',
            correlationId: '1',
            headers: { 'parley-timeout': 10000 },
          }),
        )
        .catch(reject);
    });
    const error = answer.properties.headers?.['parley-error'];
    say(error ? `error ${error}` : answer.content.toString());
  },

  async serve(connection, service, count) {
    const channel = await connection.createChannel();
    await channel.assertQueue(service);
    await channel.prefetch(1);
    await take(channel, service, Number(count), {}, (message) => {
      const { replyTo, correlationId } = message.properties;
      const answer = `${name} heard ${message.content}`;
      channel.sendToQueue(replyTo, Buffer.from(answer), { correlationId });
      channel.ack(message);
    });
    await channel.close();
  },
};

const { HUB_HOST, HUB_AMQP } = process.env;
const connection = await amqplib.connect(`amqp://guest:guest@${HUB_HOST}:${HUB_AMQP}`);
const [command, ...args] = process.argv.slice(2);
await commands[command](connection, ...args);
await connection.close();
