// SPDX-License-Identifier: Apache-2.0

// Drives a hub with npm's @stomp/stompjs over TCP; the commands are those of every
// peer script:
// send QUEUE BODY... | consume QUEUE COUNT | publish TOPIC BODY | subscribe TOPIC COUNT
// call SERVICE BODY | serve SERVICE COUNT

import { Client } from '@stomp/stompjs';
import { TCPWrapper } from '@stomp/tcp-wrapper';

const name = 'stompjs';
const say = (text) => console.log(text);

const connect = () =>
  new Promise((resolve) => {
    const { HUB_HOST, HUB_STOMP } = process.env;
    const client = new Client({
      webSocketFactory: () => new TCPWrapper(HUB_HOST, Number(HUB_STOMP)),
      connectHeaders: { login: 'guest', passcode: 'guest' },
      reconnectDelay: 0,
      onConnect: () => resolve(client),
      onStompError: (frame) => {
        console.error(frame.headers.message, frame.body);
        process.exit(1);
      },
    });
    client.activate();
  });

let receipts = 0;

// settled performs a step that carries a receipt header and waits for the receipt.
const settled = (client, step) =>
  new Promise((resolve) => {
    receipts += 1;
    const receipt = `r${receipts}`;
    client.watchForReceipt(receipt, resolve);
    step({ receipt });
  });

const safe = (client, destination, body, headers = {}) =>
  settled(client, (receipt) =>
    client.publish({ destination, body, headers: { persistent: 'true', ...headers, ...receipt } }),
  );

// take subscribes until count messages were handled.
const take = (client, destination, count, ack, handle) =>
  new Promise((resolve) => {
    settled(client, (receipt) =>
      client.subscribe(
        destination,
        async (message) => {
          await handle(message);
          count -= 1;
          if (count === 0) resolve();
        },
        { ack, 'prefetch-count': '1', ...receipt },
      ),
    ).then(() => say('ready'));
  });

const commands = {
  async send(client, queue, ...bodies) {
    for (const body of bodies) await safe(client, `/queue/${queue}`, body);
    say('sent');
  },

  consume: (client, queue, count) =>
    take(client, `/queue/${queue}`, Number(count), 'client-individual', (message) => {
      say(message.body);
      message.ack();
    }),

  async publish(client, topic, body) {
    await safe(client, `/topic/${topic}`, body);
    say('sent');
  },

  subscribe: (client, topic, count) =>
    take(client, `/topic/${topic}`, Number(count), 'auto', (message) => say(message.body)),

  async call(client, service, body) {
    const answer = await new Promise((resolve) => {
      // Answers come without a SUBSCRIBE of ours.
      client.onUnhandledMessage = resolve;
      client.publish({
        destination: `/queue/${service}`,
        body,
        headers: {
          'reply-to': '/temp-queue/answers',
          'correlation-id': '1',
          'parley-timeout': '10000',
        },
      });
    });
    const error = answer.headers['parley-error'];
    say(error ? `error ${error}` : answer.body);
  },

  serve: (client, service, count) =>
    take(client, `/queue/${service}`, Number(count), 'client-individual', async (message) => {
      await safe(client, message.headers['reply-to'], `${name} heard ${message.body}`, {
        'correlation-id': message.headers['correlation-id'],
      });
      message.ack();
    }),
};

const client = await connect();
const [command, ...args] = process.argv.slice(2);
await commands[command](client, ...args);
await client.deactivate();
