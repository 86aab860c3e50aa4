// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
	wire "github.com/parley-ipc/parley/internal/wire/stomp"
)

// slowLog is a log whose records are durable when the test says so.
type slowLog struct {
	*store.Memory

	mu      sync.Mutex
	tickets []heldTicket
}

type heldTicket struct {
	ticket broker.Ticket
	seq    uint64
}

func (l *slowLog) Append(r *broker.Record, t broker.Ticket, seq uint64) (bool, error) {
	durable, err := l.Memory.Append(r, nil, seq)
	if t == nil || err != nil {
		return durable, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tickets = append(l.tickets, heldTicket{t, seq})
	return false, nil
}

func (l *slowLog) Shard(uint32) broker.Log { return l }

// sync makes the first n records that are held durable, or fails them.
func (l *slowLog) sync(t *testing.T, n int, err error) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		l.mu.Lock()
		if len(l.tickets) >= n {
			break
		}
		l.mu.Unlock()
		if time.Now().After(end) {
			t.Fatal("the records did not come")
		}
	}
	fire := l.tickets[:n]
	l.tickets = l.tickets[n:]
	l.mu.Unlock()
	for _, held := range fire {
		held.ticket.Fire(held.seq, err)
		held.ticket.Flush()
	}
}

// slowHub is a hub over a slowLog.
func slowHub(t *testing.T) (*hub, *slowLog) {
	t.Helper()
	log := &slowLog{Memory: store.NewMemory(store.MemoryOptions{})}
	b := broker.New(broker.Options{Clock: clock{}, Log: log, Formats: []broker.Format{Format{}}})
	log.Bind(b)
	t.Cleanup(b.Close)
	return newHub(t, func(o *Options) { o.Broker = b }), log
}

const persistentSend = "SEND\npersistent:true\ndestination:/queue/safe\nreceipt:%s\n\nx\x00"

// TestReceiptWhenSafe: the RECEIPT of a persistent SEND waits for the log, those of
// other frames do not, and one of COMMIT waits for what it sends.
func TestReceiptWhenSafe(t *testing.T) {
	t.Parallel()
	h, log := slowHub(t)
	c := h.login(t, wire.V12)
	for i := range 3 {
		c.send(fmt.Sprintf(persistentSend, fmt.Sprint(i)))
	}
	c.do("BEGIN\ntransaction:t", "") // its receipt overtakes theirs
	log.sync(t, 2, nil)
	c.wantReceipt("0")
	c.wantReceipt("1")
	c.wantNothing()
	log.sync(t, 1, nil)
	c.wantReceipt("2")

	c.send("SEND\npersistent:true\ndestination:/queue/safe\ntransaction:t\nreceipt:in\n\nx\x00" +
		"COMMIT\ntransaction:t\nreceipt:commit\n\n\x00")
	c.wantNothing()
	log.sync(t, 1, nil)
	c.wantReceipt("in")
	c.wantReceipt("commit")
	c.do("SEND\ndestination:/queue/safe", "volatile") // nothing to wait for
}

// TestDisconnectWhenSafe: the RECEIPT of DISCONNECT is the last frame, and waits for every SEND.
func TestDisconnectWhenSafe(t *testing.T) {
	t.Parallel()
	h, log := slowHub(t)
	c := h.login(t, wire.V12)
	c.send("SEND\npersistent:true\ndestination:/queue/safe\n\nx\x00" + fmt.Sprintf(persistentSend, "s") +
		"DISCONNECT\nreceipt:bye\n\n\x00")
	log.sync(t, 2, nil)
	c.wantReceipt("s")
	c.wantReceipt("bye")
	c.wantClose()
}

// TestLogFails: a message that the log lost gets no RECEIPT but an ERROR that names it.
func TestLogFails(t *testing.T) {
	t.Parallel()
	h, log := slowHub(t)
	c := h.login(t, wire.V12)
	c.send(fmt.Sprintf(persistentSend, "lost"))
	log.sync(t, 1, errors.New("disk failed"))
	if f := c.wantError("Message refused", ""); f.headers["receipt-id"] != "lost" {
		t.Errorf("receipt-id %q", f.headers["receipt-id"])
	}
}

// TestReceiptsCrowded: a client that asks for more receipts than may wait is not read on until the
// log has caught up.
func TestReceiptsCrowded(t *testing.T) {
	t.Parallel()
	h, log := slowHub(t)
	c := h.login(t, wire.V12)
	c.send(fmt.Sprintf(persistentSend, "0"))
	log.sync(t, 1, nil)
	c.wantReceipt("0")
	serving := onlyConn(h)
	serving.receipts.count.Store(receiptsWaitingMax) // as if so many waited
	c.send(fmt.Sprintf(persistentSend, "1") + "BEGIN\ntransaction:t\nreceipt:read\n\n\x00")
	for end := time.Now().Add(patience); !serving.beat.held.Load(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the connection is read on")
		}
	}
	serving.receipts.count.Add(-receiptsWaitingMax)
	log.sync(t, 1, nil)
	c.wantReceipt("1")
	c.wantReceipt("read")
}
