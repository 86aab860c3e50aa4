// SPDX-License-Identifier: Apache-2.0

package broker

import "github.com/parley-ipc/parley/internal/auth"

// Answer publishes the answer to a message that this session has taken, and accepts the message, in
// one step: where both are in the log one record holds them, so that after a crash either the answer is
// there or the message is back. Both are safe when [Session.Sync] has returned nil. When it returns an
// error the message is as it was.
func (s *Session) Answer(m *Message, tag uint64) error {
	if err := s.checkMessage(m); err != nil {
		return err
	}
	if len(m.Exchange) == 0 && isReplyKey(m.Key) {
		if err := s.conn.allow(auth.Write, "answer", "exchange", ""); err != nil {
			return err
		}
		return s.answerCall(m, tag)
	}
	_, err := s.Commit(Commit{
		Publishes: []CommitPublish{{Message: m}},
		Settlements: []SettleParams{
			{Tag: tag, Multiple: false, Of: nil, Outcome: Accepted},
		},
	})
	return err
}

// answerCall is Answer for who waits at a reply address. Only a stored request has its answer in the
// log.
func (s *Session) answerCall(m *Message, tag uint64) error {
	if !s.Outstanding(tag) {
		return unknownTag(tag)
	}
	if s.b.replies.request(m.Key) == nil || !s.b.log.Keeps() {
		s.publishReply(m)
		return s.Settle(SettleParams{Tag: tag, Multiple: false, Of: nil, Outcome: Accepted})
	}
	s.mu.Lock()
	d, ok := s.unsettled.take(tag)
	full := s.atLimit(1)
	s.mu.Unlock()
	if !ok {
		return unknownTag(tag) // nobody else takes any
	}
	q := d.queue
	q.lock()
	if !q.deleted && d.entry.lsn != 0 {
		s.turn.along = &Record{
			Type: RecordAck, Queues: []uint32{q.id}, At: []LSN{d.entry.lsn},
		}
	}
	logs := s.turn.along != nil
	s.publishReply(m)
	if logs && s.turn.along == nil {
		q.unsettled--
		q.tally.Acknowledged++
		d.entry.msg.release()
	} else { // the request has its answer already
		s.turn.along = nil
		q.settle(&d.entry, Accepted, s.deadQueue, &s.turn)
	}
	s.settledSome = true
	s.mu.Lock()
	if c := d.consumer; c != nil {
		c.outstanding--
		s.outstanding--
	}
	s.mu.Unlock()
	q.freed([]delivered{d}, &s.turn)
	q.unlock()
	s.turn.settle()
	if full {
		s.Reactivate()
	}
	return nil
}
