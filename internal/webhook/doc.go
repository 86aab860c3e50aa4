// SPDX-License-Identifier: Apache-2.0

// Package webhook posts messages and the results of requests to URLs of others (CloudEvents 1.0.2,
// HTTP 1.1 Web Hooks for Event Delivery; rest.md, Webhooks).
//
// A push subscription is a consumer that the hub runs itself: its credit is a window of posts under
// way, which doubles with every success and halves with every failure, and the answer to a post is the
// outcome of its delivery. What the answer does not settle waits, and goes back to its queue as failed
// when its time has come: attempts are counted by the heart, and so they outlive the process. The
// result of a request with a callback is posted under the same rules, by [Pusher] itself.
//
// Nobody is posted to who has not consented in a handshake, and no address of the hub's own networks
// unless the configuration allows it: the address that is dialled is the one that is checked, and
// redirects are not followed.
package webhook
