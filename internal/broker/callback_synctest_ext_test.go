// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"testing"
	"testing/synctest"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

// The result of a request with a callback is due once it has one, also in the next process, until
// somebody says that it was posted.
func TestRequestCallback(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := store.NewMemory(store.MemoryOptions{Retain: true, Clock: clock{}})
		b, _ := mortal(t, log)
		restart := func() *client {
			synctest.Wait()
			b.Close()
			b, _ = mortal(t, log)
			return newClient(t, b, "asker")
		}
		c := newClient(t, b, "c")
		if _, err := c.DeclareQueue(broker.QueueParams{Name: "svc", Durable: true}); err != nil {
			t.Fatal(err)
		}
		const url = "https://ci.example/done"
		id := c.mustRequest(broker.RequestParams{Service: "svc", Callback: url}, "question")
		canceled := c.mustRequest(broker.RequestParams{Service: "svc", Callback: url}, "canceled")
		c.mustRequest(broker.RequestParams{Service: "svc"}, "nobody is called")
		if list := b.TakeCallbacks(); len(list) != 0 {
			t.Fatalf("%d are due", len(list))
		}
		c = restart()
		q, err := c.FindRequest(canceled)
		if err != nil {
			t.Fatal(err)
		}
		if err := q.Cancel(); err != nil {
			t.Fatal(err)
		}
		service := newClient(t, b, "service")
		service.consume("svc", "t", 0)
		synctest.Wait()
		for _, asked := range service.all() {
			service.reply(asked, "answer")
		}
		due := func() *broker.Request {
			t.Helper()
			<-b.CallbacksDue()
			list := b.TakeCallbacks()
			if len(list) != 1 || list[0].ID != id {
				t.Fatalf("%d are due", len(list))
			}
			if to, state := list[0].Callback(); to != url || state != broker.CallbackPending {
				t.Errorf("callback %q, %v", to, state)
			}
			return list[0]
		}
		due()
		restart()
		q = due()
		if answerOf(t, q) != "answer" {
			t.Errorf("answer %q", answerOf(t, q))
		}
		q.EndCallback(broker.CallbackDone)
		q.EndCallback(broker.CallbackFailed) // it is done
		c = restart()
		if list := b.TakeCallbacks(); len(list) != 0 {
			t.Errorf("%d are due", len(list))
		}
		if q, err = c.FindRequest(id); err != nil {
			t.Fatal(err)
		}
		if _, state := q.Callback(); state != broker.CallbackDone {
			t.Errorf("callback %v", state)
		}
		b.Close()
	})
}
