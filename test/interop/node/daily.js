// SPDX-License-Identifier: Apache-2.0

// What the daily scripts share.

import assert from 'node:assert/strict';

const wait = 20_000; // milliseconds for anything that must come

export const say = (text) => console.log(text);

// expect prints what came back when it is what it should be.
export const expect = (name, value, want) => {
  assert.deepEqual(value, want, name);
  say(`${name} ${JSON.stringify(value)}`);
};

// come is a promise with a bound.
export const come = (promise, what) =>
  Promise.race([
    promise,
    new Promise((_, reject) => {
      setTimeout(() => reject(new Error(`${what} does not come`)), wait).unref();
    }),
  ]);

// A box holds what handlers got until somebody takes it.
export const box = () => {
  const items = [];
  const takers = [];
  return {
    put: (item) => (takers.length ? takers.shift()(item) : items.push(item)),
    take: () =>
      come(
        items.length
          ? Promise.resolve(items.shift())
          : new Promise((resolve) => {
              takers.push(resolve);
            }),
        'a message',
      ),
  };
};
