// SPDX-License-Identifier: Apache-2.0

// A page that speaks STOMP with the hub that it comes from.

import { Client } from './node_modules/@stomp/stompjs/esm6/index.js';

const rowsMax = 200; // messages that are shown

const at = (id) => document.getElementById(id);
const show = (text) => {
  at('state').value = text;
};

const sources = new Set(); // destinations that are subscribed to, now and after a reconnection

const client = new Client({
  brokerURL: `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws`,
  reconnectDelay: 500,
  heartbeatIncoming: 10_000,
  heartbeatOutgoing: 10_000,
  onConnect: () => {
    at('subscriptions').replaceChildren();
    sources.forEach(listen);
    show('connected');
  },
  // The hub closes behind an ERROR; who was connected connects again.
  onStompError: ({ headers, body }) => {
    at('error').value = `${headers.message}: ${body.trim()}`;
    if (at('state').value !== 'connected') client.deactivate();
  },
  onWebSocketClose: () => {
    if (at('state').value === 'connected') show('connection lost');
  },
});

// What came is text, whatever is in it: nothing of it becomes part of the page.
const add = ({ headers, body }) => {
  const row = document.createElement('tr');
  for (const text of [new Date().toLocaleTimeString(), headers.destination, body]) {
    row.insertCell().textContent = text;
  }
  at('messages').prepend(row);
  at('messages').rows[rowsMax]?.remove();
};

// listen subscribes; the hub's receipt says that nothing sent from now on is missed.
const listen = (destination) => {
  const receipt = `subscribed ${destination} ${Date.now()}`;
  client.watchForReceipt(receipt, () => {
    const item = document.createElement('li');
    item.textContent = destination;
    at('subscriptions').append(item);
  });
  client.subscribe(destination, add, { receipt });
};

const on = (id, action) =>
  at(id).addEventListener('submit', (event) => {
    event.preventDefault();
    at('error').value = '';
    action();
  });

on('login', async () => {
  await client.deactivate();
  show('connecting');
  client.connectHeaders = { login: at('user').value, passcode: at('password').value };
  client.activate();
});

on('subscribe', () => {
  const destination = at('source').value;
  if (sources.has(destination)) return;
  sources.add(destination);
  if (client.connected) listen(destination);
});

on('send', () => {
  if (!client.connected) {
    show('not connected');
    return;
  }
  const headers = { persistent: 'true', 'content-type': 'text/plain;charset=utf-8' };
  client.publish({ destination: at('target').value, body: at('text').value, headers });
});
