// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

// newKnowingBroker makes a broker that knows one operation: svc's slow takes 250 ms at most, and may be
// called twice.
func newKnowingBroker(tb testing.TB) *broker.Broker {
	tb.Helper()
	log := store.NewMemory(store.MemoryOptions{})
	b := broker.New(broker.Options{
		Clock: clock{}, Log: log,
		Operation: func(vhost, service string, operation []byte) (t broker.OperationTerms) {
			if vhost == "/" && service == "svc" && string(operation) == "slow" {
				t.Timeout, t.Idempotent = 250*time.Millisecond, true
			}
			return t
		},
	})
	log.Bind(b)
	tb.Cleanup(b.Close)
	return b
}

// TestOperationTimeout: a call and a gather that do not say how long they may take take as long as
// their operation may.
func TestOperationTimeout(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, operation string
		says            time.Duration
		want            time.Duration
	}{
		{"known", "slow", 0, 250 * time.Millisecond},
		{"the caller says", "slow", time.Second, time.Second},
		{"unknown", "other", 0, broker.DefaultTimeout},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newKnowingBroker(t)
				asker, service := newClient(t, b, "asker"), newClient(t, b, "service")
				service.queue("svc")
				service.consume("svc", "t", 0)
				message := func() *broker.Message {
					m := &broker.Message{Body: []byte("question")}
					m.Key, m.Type = []byte("svc"), []byte(tc.operation)
					return m
				}
				start := time.Now()
				ended := make(chan time.Duration, 1)
				if _, err := asker.Call(broker.CallParams{
					Service: "svc", Message: message(), Timeout: tc.says,
					Done: func(*broker.Message, *broker.Error) { ended <- time.Since(start) },
				}); err != nil {
					t.Fatal(err)
				}
				if took := <-ended; took != tc.want {
					t.Errorf("the call ended after %v, want %v", took, tc.want)
				}
				start = time.Now()
				err := asker.Gather(broker.GatherParams{
					Message: message(), Terms: broker.GatherTerms{All: true, Total: tc.says},
					Reply: func(string, *broker.Message) {},
					End:   func(broker.GatherResult) { ended <- time.Since(start) },
				})
				if err != nil {
					t.Fatal(err)
				}
				if took := <-ended; took != tc.want {
					t.Errorf("the gather ended after %v, want %v", took, tc.want)
				}
			})
		})
	}
}

// TestOperationAtEndpoint: what is known of an operation goes with its message to an endpoint, on every
// way there.
func TestOperationAtEndpoint(t *testing.T) {
	t.Parallel()
	for _, operation := range []string{"slow", "other"} {
		t.Run(operation, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newKnowingBroker(t)
				p := newPool(t, 1)
				a := attach(t, b, "svc", p)
				defer a.Close(t.Context())
				c := newClient(t, b, "caller")
				known := operation == "slow"
				want := broker.DefaultTimeout
				if known {
					want = 250 * time.Millisecond
				}

				m := broker.Message{Body: []byte("sent")}
				m.Key, m.Type = []byte("svc"), []byte(operation)
				if _, err := c.Publish(&m, broker.PublishParams{}); err != nil {
					t.Fatal(err)
				}
				c.Session.Flush()
				sent := p.next()
				if left := time.Until(sent.deadline); left != want || sent.idempotent != known {
					t.Errorf("a message: %v left, idempotent %v", left, sent.idempotent)
				}
				sent.reply("")
				synctest.Wait()

				direct := broker.Message{}
				direct.Type = []byte(operation)
				d, err := c.Direct("svc", &direct)
				if err != nil || !d.Taken() {
					t.Fatal(d, err)
				}
				done := make(chan struct{})
				go func() {
					defer close(done)
					_, _ = d.Call(t.Context(), &broker.EndpointCall{Message: &direct})
					d.End()
				}()
				called := p.next()
				if called.idempotent != known {
					t.Errorf("a direct call: idempotent %v", called.idempotent)
				}
				called.reply("")
				<-done
			})
		})
	}
}
