// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// TestRow06Waiting: under three times the load that a service can take, calls wait in its queue until their
// time is nearly over. The slots do not work for those that cannot be answered in time any more: what is
// served is as much as at the peak, and the breaker of a service that is well stays closed.
func TestRow06Waiting(t *testing.T) {
	t.Parallel()
	const mean = 20 * time.Millisecond
	for name, took := range map[string]func() time.Duration{
		"all alike": func() time.Duration { return mean },
		"spread":    func() time.Duration { return time.Duration(rand.ExpFloat64() * float64(mean)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { testWaiting(t, mean, took) })
		})
	}
}

func testWaiting(t *testing.T, mean time.Duration, took func() time.Duration) {
	t.Helper()
	const slots, timeout, lasting = 4, 500 * time.Millisecond, 10 * time.Second
	h := startHeart(t, Options{InFlight: slots})
	h.w.took = took
	var mu sync.Mutex
	served, late := 0, time.Duration(0)
	refused := make(map[string]int)
	ended := func(began time.Time, m *broker.Message, err *broker.Error) {
		mu.Lock()
		defer mu.Unlock()
		var word string
		if err != nil {
			word = err.Code.String()
		} else {
			word, _ = m.Overlay.Text(broker.HeaderError)
		}
		if word == "" {
			served++
			return
		}
		refused[word]++
		late = max(late, time.Since(began))
	}
	for end := time.Now().Add(lasting); time.Now().Before(end); {
		rate := 3 * slots * float64(time.Second/mean)
		time.Sleep(time.Duration(rand.ExpFloat64() / rate * float64(time.Second)))
		began := time.Now()
		_, err := h.session.Call(broker.CallParams{
			Service: "svc", Timeout: timeout,
			Message: &broker.Message{Envelope: broker.Envelope{Type: []byte("0")}},
			Done:    func(m *broker.Message, err *broker.Error) { ended(began, m, err) },
		})
		if err != nil {
			t.Fatal(err)
		}
		h.session.Flush()
	}
	time.Sleep(time.Second)
	mu.Lock()
	defer mu.Unlock()
	hopeless := h.session.Connection().Broker().Metrics().CallsHopeless.Load()
	capacity := slots * int(lasting/mean)
	wasted := int(h.pool.Status().Counts.Calls) - served
	t.Logf("%d of %d possible calls served, %d attempts for nobody, %v refused (%d before their"+
		" deadline), the last after %v", served, capacity, wasted, refused, hopeless, late)
	if served < capacity*9/10 || wasted > capacity/5 {
		t.Errorf("%d of %d possible calls served, %d attempts for nobody", served, capacity, wasted)
	}
	if hopeless == 0 || len(refused) != 1 || refused["deadline"] == 0 || late > timeout {
		t.Errorf("refused: %v, %d before their deadline, the last after %v", refused, hopeless, late)
	}
}
