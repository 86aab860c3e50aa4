// SPDX-License-Identifier: Apache-2.0

package line

import (
	"github.com/parley-ipc/parley/internal/broker"
)

// send puts a message into a queue, which is a service's if it has that name.
func (c *conn) send(cmd *command) *fault {
	if err := c.composer.send(cmd, true); err != nil {
		return err
	}
	code := codeNotFound
	if cmd.has(memberService) {
		code = codeNoService
	}
	_, err := c.put(broker.PublishParams{Mandatory: true})
	if err == nil && c.returned {
		err = unknownQueue(code, c.composer.message.Key, c.vhost)
	}
	if err != nil {
		return err
	}
	return c.answerWhenSafe(cmd.id, notTold)
}

// notTold as a number of queues is none of the answer.
const notTold = -1

func unknownQueue(code string, name []byte, vhost string) *fault {
	what := "queue"
	if code == codeNoService {
		what = "service"
	}
	return newFault(code, "no %s '%s' in vhost '%s'", what, shown(name), vhost)
}

// send makes the message of a send.
func (k *composer) send(cmd *command, persistent bool) *fault {
	to := memberQueue
	switch {
	case cmd.has(memberQueue) == cmd.has(memberService):
		return badRequest("'send' needs one of 'queue' and 'service'")
	case cmd.has(memberKey):
		return badRequest("'key' goes with 'exchange'")
	case cmd.has(memberService):
		to = memberService
	case cmd.has(memberMethod):
		return badRequest("'method' goes with 'service'")
	}
	if err := k.compose(cmd, nil); err != nil {
		return err
	}
	name, err := cmd.name(to)
	if err != nil {
		return err
	}
	k.message.Key = name
	k.persist(cmd.flag(memberPersistent, persistent))
	return nil
}

// publish sends a message to an exchange, or on a topic.
func (c *conn) publish(cmd *command) *fault {
	if err := c.composer.publish(cmd, true); err != nil {
		return err
	}
	mandatory := cmd.flag(memberMandatory, false)
	routed, err := c.put(broker.PublishParams{Mandatory: mandatory})
	if err == nil && c.returned {
		err = newFault(codeUnroutable, "the message reached no queue")
	}
	if err != nil {
		return err
	}
	return c.answerWhenSafe(cmd.id, routed)
}

// publish makes the message of a publish.
func (k *composer) publish(cmd *command, persistent bool) *fault {
	switch {
	case cmd.has(memberTopic) == cmd.has(memberExchange):
		return badRequest("'publish' needs one of 'topic' and 'exchange'")
	case cmd.has(memberTopic) && cmd.has(memberKey):
		return badRequest("'key' goes with 'exchange'")
	}
	if err := k.compose(cmd, nil); err != nil {
		return err
	}
	m := &k.message
	var err *fault
	if cmd.has(memberTopic) {
		m.Exchange = append(k.exchange[:0], defaultTopic...)
		m.Key, err = cmd.name(memberTopic)
	} else if m.Exchange, err = cmd.short(memberExchange); err == nil {
		m.Key, err = cmd.short(memberKey)
	}
	k.persist(cmd.flag(memberPersistent, persistent))
	return err
}

// put publishes the composed message; when it returns an error nothing was published.
func (c *conn) put(p broker.PublishParams) (routed int, f *fault) {
	m := &c.composer.message
	if f := c.answerHere(m); f != nil {
		return 0, f
	}
	c.returned = false
	c.confirms.begin()
	routed, err := c.session.Publish(m, p)
	if err != nil {
		return 0, c.notPublished(err)
	}
	return routed, nil
}

// notPublished takes a publish back that the heart refused before it counted it. Of one that failed
// that is not known, and confirms may be one off: it ends the connection.
func (c *conn) notPublished(err error) *fault {
	c.confirms.forget()
	f := faultOf(err)
	f.fatal = f.code == codeInternal
	return f
}

// answerHere puts the address of the connection's own reply subscription in place of the name that
// stands for it.
func (c *conn) answerHere(m *broker.Message) *fault {
	if string(m.ReplyTo) != broker.DirectReplyTo {
		return nil
	}
	address, err := c.session.ReplyAddress()
	if err != nil {
		return faultOf(err)
	}
	m.ReplyTo, m.Edited = []byte(address), true
	return nil
}

// Return implements broker.Sink; it comes within the publish.
func (c *conn) Return(*broker.Message, *broker.Error) { c.returned = true }
