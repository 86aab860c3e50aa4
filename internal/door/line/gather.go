// SPDX-License-Identifier: Apache-2.0

package line

import (
	"math"

	"github.com/parley-ipc/parley/internal/broker"
)

// gather asks everyone: all who are bound to a topic, or every instance of a service.
func (c *conn) gather(cmd *command) *fault {
	terms, err := gatherTerms(cmd)
	if err != nil {
		return err
	}
	if err := c.everyone(cmd); err != nil {
		return err
	}
	id := string(cmd.id)
	c.owe(id)
	var unread []string // who has answered, and the client does not read
	failed := c.session.Gather(broker.GatherParams{
		Message: &c.composer.message, Terms: terms,
		Reply: func(from string, m *broker.Message) {
			if !c.writeReply(id, from, m) {
				unread = append(unread, from)
			}
		},
		End: func(r broker.GatherResult) {
			r.Complete, r.Missing = r.Complete && len(unread) == 0, append(r.Missing, unread...)
			c.open.remove(id)
			c.writeEnd(id, &r)
			c.paid()
		},
	})
	if failed != nil {
		c.open.remove(id)
		c.paid()
		return faultOf(failed)
	}
	return nil
}

// everyone composes the message of a gather.
func (c *conn) everyone(cmd *command) *fault {
	if cmd.has(memberTopic) == cmd.has(memberService) {
		return badRequest("'gather' needs one of 'topic' and 'service'")
	}
	if cmd.has(memberService) {
		m, err := c.question(cmd)
		if err != nil {
			return err
		}
		if _, ok := c.registry.VirtualHost().Queue(string(m.Key)); !ok {
			return unknownQueue(codeNoService, m.Key, c.vhost)
		}
		return nil
	}
	if cmd.has(memberKey) {
		return badRequest("'key' goes with 'exchange'")
	}
	if err := c.composer.compose(cmd, nil); err != nil {
		return err
	}
	m := &c.composer.message
	var err *fault
	if m.Key, err = cmd.name(memberTopic); err != nil {
		return err
	}
	m.Exchange = append(c.composer.exchange[:0], defaultTopic...)
	c.correlate()
	return nil
}

// gatherTerms reads the stop rule: the first that is met ends the gather.
func gatherTerms(cmd *command) (t broker.GatherTerms, err *fault) {
	if t.Total, err = timeoutOf(cmd, 1); err != nil {
		return t, err
	}
	if !cmd.has(memberUntil) {
		t.All = true
		return t, nil
	}
	r := untilReader{terms: &t}
	return t, r.read(cmd.values[memberUntil].text)
}

// untilReader reads the member until.
type untilReader struct {
	terms *broker.GatherTerms
	seen  [5]bool
}

func (r *untilReader) read(text []byte) *fault {
	return eachMember(text, "until", func(name string, v *value) *fault {
		names := [len(r.seen)]string{"all", "n", "quorum", "sentinel", "stall_ms"}
		for i, known := range names {
			if name != known {
				continue
			}
			if r.seen[i] {
				return badRequest("'%s' stands twice in 'until'", known)
			}
			r.seen[i] = true
			return r.member(known, v)
		}
		return badRequest("unknown member '%s' in 'until'", shown([]byte(name)))
	})
}

func (r *untilReader) member(name string, v *value) *fault {
	t := r.terms
	isTrue := v.kind == kindBool && v.text[0] == 't'
	switch {
	case name == "all" && v.kind == kindBool:
		t.All = isTrue
		return nil
	case name == "sentinel" && v.kind == kindBool:
		t.Sentinel = isTrue
		return nil
	case name == "quorum" && isTrue:
		t.Quorum = true
		return nil
	case v.kind != kindNumber, name == "all", name == "sentinel":
		return badRequest("'%s' in 'until' has the wrong type", name)
	case name == "stall_ms":
		ms, err := wholeNumber("stall_ms", v.text, 1, timeoutMaxMS)
		t.Stall = millis(ms)
		return err
	}
	n, err := wholeNumber(name, v.text, 1, math.MaxInt32)
	if t.Replies == 0 || int(n) < t.Replies {
		t.Replies = int(n)
	}
	return err
}

// writeReply writes one answer of a gather, unless the client does not read.
func (c *conn) writeReply(id, from string, m *broker.Message) (written bool) {
	if c.isUnread() {
		c.door.late.Add(1)
		return false
	}
	b := c.out.BeginSize(m.Size() + headRoom)
	if !c.shut {
		b = append(append(append(b, `{"event":"answer","id":`...), id...), `,"from":`...)
		b = append(appendString(b, from), ',')
		b = appendEnd(appendAnswer(b, m, &c.check))
	}
	c.out.End(b)
	c.flushSoon()
	return true
}

// writeEnd writes how a gather ended.
func (c *conn) writeEnd(id string, r *broker.GatherResult) {
	b, open := c.begin()
	if open {
		b = append(append(append(b, `{"event":"gather_end","id":`...), id...), `,"complete":`...)
		if r.Complete {
			b = append(b, `true,"missing":[`...)
		} else {
			b = append(b, `false,"missing":[`...)
		}
		for i, name := range r.Missing {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendString(b, name)
		}
		b = appendEnd(append(b, ']'))
	}
	c.out.End(b)
	c.flushSoon()
}
