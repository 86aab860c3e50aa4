// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"errors"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/stomp"
)

// transaction holds the frames between BEGIN and COMMIT, in their order.
type transaction struct {
	frames []*wire.Frame
	bytes  int
}

// transactionName returns the header transaction of BEGIN, COMMIT or ABORT.
func transactionName(f *wire.Frame) (string, *fault) {
	name, ok := f.Get("transaction")
	if !ok || len(name) == 0 {
		return "", newFault("Missing transaction", "%q must include a 'transaction' header\n",
			f.Command.String()).of(faultNoTransaction, f.Command.String())
	}
	return string(name), nil
}

// badTransaction is a name of no open transaction, or of one that is open already.
func badTransaction(name []byte) *fault {
	return newFault("Bad transaction", "Invalid transaction identifier: %q\n", shown(name)).
		of(faultTransaction, shown(name))
}

// begin handles BEGIN.
func (c *conn) begin(f *wire.Frame) *fault {
	name, err := transactionName(f)
	if err != nil {
		return err
	}
	if _, open := c.transactions[name]; open {
		return badTransaction([]byte(name)).of(faultOpenTransaction, shown([]byte(name)))
	}
	if limit := c.door.options.TransactionsMax; len(c.transactions) >= limit {
		return newFault("Transaction limit exceeded",
			"Too many concurrent transactions (limit %d)", limit)
	}
	if c.transactions == nil {
		c.transactions = make(map[string]*transaction)
	}
	c.transactions[name] = &transaction{}
	return nil
}

// enlist keeps a copy of a SEND, ACK or NACK for the COMMIT of its transaction.
func (c *conn) enlist(f *wire.Frame, name []byte) *fault {
	tx := c.transactions[string(name)]
	if tx == nil {
		return badTransaction(name)
	}
	o := &c.door.options
	if len(tx.frames) >= o.TransactionActionsMax {
		return newFault("Transaction too large",
			"Too many actions in transaction (limit %d)", o.TransactionActionsMax)
	}
	size := frameBytes(f)
	if c.held+size > o.TransactionBytes {
		return newFault("Transaction too large",
			"Too many bytes in transactions (limit %d)", o.TransactionBytes)
	}
	tx.frames = append(tx.frames, copyFrame(f, size))
	tx.bytes += size
	c.held += size
	return nil
}

// take takes an open transaction out.
func (c *conn) take(f *wire.Frame) (*transaction, *fault) {
	name, err := transactionName(f)
	if err != nil {
		return nil, err
	}
	tx := c.transactions[name]
	if tx == nil {
		return nil, badTransaction([]byte(name))
	}
	delete(c.transactions, name)
	c.held -= tx.bytes
	return tx, nil
}

// rollback handles ABORT.
func (c *conn) rollback(f *wire.Frame) *fault {
	_, err := c.take(f)
	return err
}

// commit handles COMMIT: all frames take effect in one step, or none. Its RECEIPT, and those of the
// SENDs in it, are written when that is safe.
func (c *conn) commit(f *wire.Frame) *fault {
	tx, err := c.take(f)
	if err != nil {
		return err
	}
	var all broker.Commit
	var receipts [][]byte
	for _, action := range tx.frames {
		if action.Command != wire.Send {
			if all.Settlements, err = c.dialect.settlements(all.Settlements, action); err != nil {
				return err
			}
			continue
		}
		if err := c.scan(action); err != nil {
			return err
		}
		params, err := c.compose(action)
		if err != nil {
			return err
		}
		all.Publishes = c.appendPublishes(all.Publishes, params)
		if c.sent.hasReceipt {
			receipts = append(receipts, c.sent.receipt)
		}
	}
	if err := c.step(all); err != nil {
		return err
	}
	if id, ok := f.Get("receipt"); ok {
		receipts = append(receipts, id)
	}
	for _, id := range receipts {
		c.receiptAfterPublishes(id)
	}
	return nil
}

// step lets everything take effect, or nothing.
func (c *conn) step(all broker.Commit) *fault {
	c.receipts.inside.Store(true)
	upTo, failed := c.session.Commit(all)
	switch {
	case errors.Is(failed, &broker.Error{Code: broker.CodeQueueFull}):
		return refusedFault()
	case failed != nil:
		return brokerFault(failed)
	}
	c.receipts.committed(upTo)
	return nil
}

// headerBytes is what a kept header takes beside its octets.
const headerBytes = 48

// frameBytes returns what a copy of a frame takes.
func frameBytes(f *wire.Frame) int {
	n := len(f.Word) + len(f.Body)
	for i := range f.Headers {
		n += len(f.Headers[i].Name) + len(f.Headers[i].Value) + headerBytes
	}
	return n
}

// copyFrame copies a frame that is borrowed from the reader.
func copyFrame(f *wire.Frame, size int) *wire.Frame {
	b := make([]byte, 0, size)
	keep := func(from []byte) []byte {
		at := len(b)
		b = append(b, from...)
		return b[at:len(b):len(b)]
	}
	out := &wire.Frame{
		Command: f.Command, Word: keep(f.Word), Body: keep(f.Body),
		Headers: make([]wire.Header, len(f.Headers)),
	}
	for i := range f.Headers {
		out.Headers[i] = wire.Header{
			Name: keep(f.Headers[i].Name), Value: keep(f.Headers[i].Value),
		}
	}
	return out
}
