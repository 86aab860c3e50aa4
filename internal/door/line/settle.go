// SPDX-License-Identifier: Apache-2.0

package line

import "github.com/parley-ipc/parley/internal/broker"

// deliveryOf reads which delivery a request is about. One that is settled, or goes back later, is none.
func (c *conn) deliveryOf(cmd *command) (tag uint64, of *letter, err *fault) {
	text, err := cmd.name(memberDelivery)
	if err != nil {
		return 0, nil, err
	}
	n, err := wholeNumber("delivery", text, 1, maxTag)
	if err != nil || text[0] == '0' {
		return 0, nil, noDelivery(text)
	}
	tag = uint64(n)
	if of = c.letters.find(tag); of != nil && of.timer != nil {
		return 0, nil, noDelivery(text)
	}
	if !c.session.Outstanding(tag) {
		return 0, nil, noDelivery(text)
	}
	return tag, of, nil
}

const maxTag = 1<<62 - 1

func noDelivery(text []byte) *fault {
	return newFault(codeNotFound, "no delivery '%s', or it is settled", shown(text))
}

// settle gives a delivery its outcome.
func (c *conn) settle(cmd *command, o broker.Outcome) *fault {
	tag, _, err := c.deliveryOf(cmd)
	if err != nil {
		return err
	}
	if err := c.settleTag(tag, o); err != nil {
		return err
	}
	c.answerSettled(cmd.id)
	return nil
}

func (c *conn) settleTag(tag uint64, o broker.Outcome) *fault {
	c.letters.drop(tag)
	if err := c.session.Settle(broker.SettleParams{Tag: tag, Outcome: o}); err != nil {
		return faultOf(err)
	}
	return nil
}

// answerSettled answers a request that settled something.
func (c *conn) answerSettled(id []byte) {
	if id != nil {
		_ = c.session.Settled() // the answer says so; after an error of the log the hub ends
		c.answer(id)
	}
}

// nack gives a delivery back: at once and in its place, after a while, or to the dead letters.
func (c *conn) nack(cmd *command) *fault {
	delay, err := cmd.whole(memberDelay, 0, delayMaxMS, 0)
	if err != nil {
		return err
	}
	dead := cmd.flag(memberDeadLetter, false)
	requeue := cmd.flag(memberRequeue, !dead)
	switch {
	case dead && requeue:
		return badRequest("'requeue' and 'dead_letter' exclude each other")
	case !requeue && delay > 0:
		return badRequest("'delay_ms' is for what is requeued")
	case !requeue:
		return c.settle(cmd, broker.Rejected)
	case delay == 0:
		return c.settle(cmd, broker.Released)
	}
	tag, of, err := c.deliveryOf(cmd)
	if err != nil {
		return err
	}
	c.giveBackLater(tag, of, delay)
	c.answer(cmd.id)
	return nil
}

// delayMaxMS bounds how long a delivery may be kept back: half a day, as a lease (rest.md, Leases).
const delayMaxMS = 43_200_000

// giveBackLater gives a delivery back after a while. It counts as unsettled until then.
func (c *conn) giveBackLater(tag uint64, of *letter, ms int64) {
	kept := &letter{}
	if of != nil {
		kept.sub = of.sub
	}
	kept.timer = c.door.options.Broker.AfterFunc(millis(ms), func() {
		c.later(func() {
			if c.letters.find(tag) != kept {
				return
			}
			if !c.session.Outstanding(tag) {
				c.letters.drop(tag) // it went back with its subscription
			} else if err := c.settleTag(tag, broker.Modified); err != nil {
				c.log().Warn("delayed message not given back", "error", err)
			}
		})
	})
	c.letters.add(tag, kept)
}

// reply answers a delivery and acknowledges it, in one durable step.
func (c *conn) reply(cmd *command) *fault {
	if cmd.has(memberKey) {
		return badRequest("'key' goes with 'exchange'")
	}
	failed, err := failureOf(cmd)
	if err != nil {
		return err
	}
	tag, of, err := c.deliveryOf(cmd)
	if err != nil {
		return err
	}
	if err := c.composer.compose(cmd, failed); err != nil {
		return err
	}
	if of == nil { // no answer is wanted
		if err := c.settleTag(tag, broker.Accepted); err != nil {
			return err
		}
		c.answerSettled(cmd.id)
		return nil
	}
	m := &c.composer.message
	m.Key = of.replyTo
	if len(of.correlationID) > 0 {
		c.composer.correlate(of.correlationID)
	}
	c.composer.persist(true)
	if err := c.answerHere(m); err != nil {
		return err
	}
	c.confirms.begin()
	if err := c.session.Answer(m, tag); err != nil {
		return c.notPublished(err)
	}
	c.letters.drop(tag)
	if cmd.id != nil {
		_ = c.session.Settled() // as in answerSettled
	}
	return c.answerWhenSafe(cmd.id, notTold)
}

// failureOf reads the member error of a reply.
func failureOf(cmd *command) (*failure, *fault) {
	if !cmd.has(memberError) {
		return nil, nil //nolint:nilnil // no failure is none
	}
	var out failure
	var seen [2]bool
	err := eachMember(cmd.values[memberError].text, "error", func(name string, v *value) *fault {
		at, i := &out.code, 0
		switch name {
		case "code":
		case "message":
			at, i = &out.message, 1
		default:
			return badRequest("unknown member '%s' in 'error'", shown([]byte(name)))
		}
		text, ok := unquote(nil, v.text)
		switch {
		case seen[i]:
			return badRequest("'%s' stands twice in 'error'", name)
		case v.kind != kindString || !ok:
			return badRequest("'%s' in 'error' has the wrong type", name)
		}
		*at, seen[i] = text, true
		return nil
	})
	if err == nil && (len(out.code) == 0 || len(out.code) > nameBytesMax) {
		err = badRequest("an error needs a 'code' of up to %d bytes", nameBytesMax)
	}
	return &out, err
}
