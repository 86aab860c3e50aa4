// SPDX-License-Identifier: Apache-2.0

package parley

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// answerCalls plays a hub that answers calls with errors of the given codes, "" for none, and then
// with no answer at all. It reports the idempotency key of each.
func answerCalls(p *peer, codes []Code, keys chan<- string) {
	channel := p.openReplies()
	for _, code := range codes {
		p.read(&wire.BasicPublish{})
		f, err := p.r.Next()
		if err != nil {
			return
		}
		var h wire.ContentHeader
		var asked wire.Properties
		if err := errors.Join(h.Decode(f.Payload), asked.Decode(h.Properties)); err != nil {
			p.t.Error(err)
			return
		}
		keys <- headerText(asked.Headers, headerIdempotency)
		answer := wire.Properties{CorrelationID: asked.CorrelationID}
		if code != "" {
			answer.Headers = wire.Table{{Name: headerError, Value: string(code)}}
		}
		p.raw(p.delivery(channel, nil, answer))
	}
	close(keys)
	p.drain()
}

func TestOnlyIdempotentCallsAreRepeated(t *testing.T) {
	t.Parallel()
	no, busy, gone := CodeNoInstance, CodeOverloaded, CodeNoService
	testCases := []struct {
		name     string
		op       []OpOption
		call     []CallOption
		codes    []Code
		attempts int
		want     Code
	}{
		{"plain", nil, nil, []Code{no, ""}, 1, no},
		{"idempotent", []OpOption{Idempotent()}, nil, []Code{no, busy, ""}, 3, ""},
		{"keyed", nil, []CallOption{IdempotencyKey("k")}, []Code{no, ""}, 2, ""},
		{"other errors are final", []OpOption{Idempotent()}, nil, []Code{gone, ""}, 1, gone},
		{"until the deadline", []OpOption{Idempotent()}, nil, []Code{
			no, no, no, no, no, no, no, no, no, no, no, no,
		}, 0, no},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				keys := make(chan string, len(tc.codes))
				c, err := dialPeer(t, wire.ConnectionTune{}, func(p *peer) {
					answerCalls(p, tc.codes, keys)
				})
				if err != nil {
					t.Fatal(err)
				}
				op := NewOp[string, string]("svc.Op", tc.op...)
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				began := time.Now()
				_, err = op.Call(ctx, c, "x", tc.call...)
				if (tc.want == "") != (err == nil) || (err != nil && !errors.Is(err, tc.want)) {
					t.Errorf("err = %v, want %q", err, tc.want)
				}
				if took := time.Since(began); took > 3*time.Second {
					t.Errorf("took %v", took)
				}
				if n := len(keys); tc.attempts != 0 && n != tc.attempts {
					t.Errorf("%d attempts, want %d", n, tc.attempts)
				}
				first := <-keys
				if keyed := len(tc.op)+len(tc.call) > 0; keyed != (first != "") {
					t.Errorf("idempotency key %q", first)
				}
				for range len(keys) {
					if key := <-keys; key != first {
						t.Errorf("key %q after %q", key, first)
					}
				}
			})
		})
	}
}
