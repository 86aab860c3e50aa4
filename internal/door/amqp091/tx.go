// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"errors"
	"math"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// Bounds of a transaction.
const (
	maxTxActions = 100_000
	maxTxBytes   = 256 << 20
	// commitWait bounds the wait for the log at commit.
	commitWait = 60 * time.Second
)

// transaction holds what a transactional channel did since the last commit or rollback.
type transaction struct {
	publishes   []broker.CommitPublish // each with a message of its own
	settlements []broker.SettleParams
	settled     map[uint64]struct{} // tags that settlements name one by one
	bytes       int                 // of the publishes
}

// commit is a wait for confirms. The sink, whose lock guards it, tells it of them.
type commit struct {
	target  uint64
	refused bool
	done    chan struct{}
	over    bool
}

// progress is told up to which publish all are safe.
func (w *commit) progress(upTo uint64) {
	if upTo >= w.target && !w.over {
		w.over = true
		close(w.done)
	}
}

func (ch *channel) txSelect(args []byte) error {
	var m wire.TxSelect
	if err := m.Decode(args); err != nil {
		return err
	}
	switch ch.mode {
	case modeConfirm:
		return faultf(wire.PreconditionFailed, wire.IDTxSelect,
			"cannot switch from confirm to tx mode")
	case modePlain:
		ch.mode, ch.tx = modeTx, &transaction{}
		// Confirms tell when a commit is durable; the client hears of none.
		ch.sink.hush()
		ch.session.EnableConfirms()
	case modeTx:
	}
	ch.send(&wire.TxSelectOk{})
	return nil
}

// hush keeps confirms from the client: the channel is transactional.
func (s *sink) hush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending = &commit{over: true}
}

// watch lets a commit hear of confirms; until await it is not told of its end.
func (s *sink) watch(w *commit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending = w
}

// await sets which publish the watching commit waits for.
func (s *sink) await(w *commit, target uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.target = target
	w.progress(s.confirmed)
}

func (s *sink) refusedIn(w *commit) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return w.refused
}

// publish keeps a copy of the channel's message until commit.
func (tx *transaction) publish(ch *channel, params broker.PublishParams) error {
	m := &ch.publisher.message
	// RabbitMQ looks the exchange up at once, not at commit.
	if name := string(m.Exchange); name != "" {
		if _, ok := ch.c.broker.VirtualHost().Exchange(name); !ok {
			return faultf(wire.NotFound, wire.IDBasicPublish, "no exchange '%s' in vhost '%s'",
				name, ch.c.broker.VHost)
		}
	}
	if err := tx.count(m.Size()); err != nil {
		return err
	}
	tx.publishes = append(tx.publishes, keepPublish(m, params))
	return nil
}

func (tx *transaction) count(bytes int) error {
	if len(tx.publishes)+len(tx.settlements) >= maxTxActions || tx.bytes+bytes > maxTxBytes {
		return hardFault(wire.ResourceError, 0, "transaction is too large")
	}
	tx.bytes += bytes
	return nil
}

// keepPublish copies what a publish borrows.
func keepPublish(m *broker.Message, params broker.PublishParams) broker.CommitPublish {
	if c := params.Call; c != nil {
		terms := *c
		params.Call = &terms
	}
	if g := params.Gather; g != nil {
		terms := *g
		params.Gather = &terms
	}
	return broker.CommitPublish{Message: m.Clone(), PublishParams: params}
}

// settle notes an outcome; a tag that is not outstanding is an error at once, as without tx.
func (tx *transaction) settle(ch *channel, p broker.SettleParams) error {
	all := p.Multiple && p.Tag == 0
	_, twice := tx.settled[p.Tag]
	if !all && (twice || !ch.session.Outstanding(p.Tag)) {
		return faultf(wire.PreconditionFailed, ch.method, "unknown delivery tag %d", p.Tag)
	}
	if err := tx.count(0); err != nil {
		return err
	}
	if !p.Multiple {
		if tx.settled == nil {
			tx.settled = make(map[uint64]struct{})
		}
		tx.settled[p.Tag] = struct{}{}
	}
	tx.settlements = append(tx.settlements, p)
	return nil
}

// reset begins the next transaction.
func (tx *transaction) reset() {
	*tx = transaction{}
}

func (ch *channel) txCommit(args []byte) error {
	var m wire.TxCommit
	if err := m.Decode(args); err != nil {
		return err
	}
	if ch.mode != modeTx {
		return faultf(wire.PreconditionFailed, wire.IDTxCommit, "channel is not transactional")
	}
	tx := ch.tx
	if len(tx.publishes) > 0 {
		ch.c.block.publish()
	}
	w := &commit{target: math.MaxUint64, done: make(chan struct{})}
	ch.sink.watch(w)
	upTo, err := ch.session.Commit(broker.Commit{
		Publishes: tx.publishes, Settlements: tx.settlements,
	})
	refused := errors.Is(err, &broker.Error{Code: broker.CodeQueueFull})
	if err != nil && !refused {
		return err
	}
	tx.reset()
	ch.session.Flush()
	if !refused {
		ch.sink.await(w, upTo)
		if err := ch.c.awaitCommit(w); err != nil {
			return err
		}
	}
	if refused || ch.sink.refusedIn(w) {
		return faultf(wire.PreconditionFailed, wire.IDTxCommit, "partial tx completion")
	}
	ch.send(&wire.TxCommitOk{})
	return nil
}

// awaitCommit holds the read loop until the log has what was published. The channel's client waits
// for commit-ok anyway.
func (c *conn) awaitCommit(w *commit) error {
	timer := time.NewTimer(commitWait)
	defer timer.Stop()
	select {
	case <-w.done:
		return nil
	case <-timer.C:
		return hardFault(wire.InternalError, wire.IDTxCommit, "commit timed out")
	}
}

func (ch *channel) txRollback(args []byte) error {
	var m wire.TxRollback
	if err := m.Decode(args); err != nil {
		return err
	}
	if ch.mode != modeTx {
		return faultf(wire.PreconditionFailed, wire.IDTxRollback, "channel is not transactional")
	}
	ch.tx.reset() // what was to be acknowledged is still unsettled
	ch.send(&wire.TxRollbackOk{})
	return nil
}
