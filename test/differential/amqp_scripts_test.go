// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"fmt"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"
)

// amqpScripts is the list of scripts; a name is the prefix of all that its
// script declares, since all scripts of a run share one broker.
func amqpScripts() []amqpScript {
	return append(append(rawScripts(), managedScripts()...), []amqpScript{
		{"queue declare", scriptQueueDeclare},
		{"queue inequivalent", scriptQueueInequivalent},
		{"queue arguments", scriptQueueArguments},
		{"queue delete", scriptQueueDelete},
		{"queue lifetime", scriptQueueLifetime},
		{"exchange declare", scriptExchangeDeclare},
		{"exchange delete", scriptExchangeDelete},
		{"exchange graph", scriptExchangeGraph},
		{"bind errors", scriptBindErrors},
		{"plugin refusals", scriptPluginRefusals},
		{"plugin one queue", scriptPluginOne},
		{"plugin history", scriptPluginHistory},
		{"route direct", scriptRouteDirect},
		{"route fanout", scriptRouteFanout},
		{"route topic", scriptRouteTopic},
		{"route headers", scriptRouteHeaders},
		{"publish errors", scriptPublishErrors},
		{"publish properties", scriptPublishProperties},
		{"publish cc", scriptPublishCC},
		{"mandatory", scriptMandatory},
		{"confirms", scriptConfirms},
		{"consume", scriptConsume},
		{"consume errors", scriptConsumeErrors},
		{"cancel", scriptCancel},
		{"ack", scriptAck},
		{"ack errors", scriptAckErrors},
		{"requeue", scriptRequeue},
		{"recover", scriptRecover},
		{"prefetch", scriptPrefetch},
		{"prefetch global", scriptPrefetchGlobal},
		{"get", scriptGet},
		{"purge", scriptPurge},
		{"fair", scriptFair},
		{"consumer priority", scriptConsumerPriority},
		{"single active", scriptSingleActive},
		{"ttl", scriptTTL},
		{"dead letter", scriptDeadLetter},
		{"dead letter cycle", scriptDeadLetterCycle},
		{"max length", scriptMaxLength},
		{"priority", scriptPriority},
		{"reply-to", scriptReplyTo},
		{"reply-to errors", scriptReplyToErrors},
		{"tx", scriptTx},
		{"tx errors", scriptTxErrors},
		{"channel", scriptChannel},
		{"login", scriptLogin},
		{"permissions", scriptPermissions},
		{"topic permissions", scriptTopicPermissions},
		{"user-id", scriptUserID},
		{"exchange details", scriptExchangeDetails},
		{"route headers x", scriptRouteHeadersX},
		{"queue details", scriptQueueDetails},
		{"quorum", scriptQuorum},
		{"publish size", scriptPublishSize},
		{"consume details", scriptConsumeDetails},
		{"prefetch both", scriptQosBoth},
		{"dead letter copies", scriptDeadLetterCopies},
	}...)
}

// loneScripts lists the scripts that nothing else may run beside.
func loneScripts() []amqpScript {
	return []amqpScript{{"alarm", scriptAlarm}}
}

// queueSpec is the arguments of queue.declare.
type queueSpec struct {
	durable, autoDelete, exclusive bool
	args                           amqp.Table
}

// declare declares on a fresh channel, since a refusal closes it.
func (r *amqpRun) declare(c *amqp.Connection, step, name string, q queueSpec) {
	ch := r.on(c)
	got, err := ch.QueueDeclare(name, q.durable, q.autoDelete, q.exclusive, false, q.args)
	if err != nil {
		ch.note(step, err)
		return
	}
	r.add(step, "%s messages %d consumers %d", plain(got.Name), got.Messages, got.Consumers)
	_ = ch.Close()
}

func scriptQueueDeclare(r *amqpRun) {
	c := r.dial()
	ch := r.on(c)
	name := ch.queue("qd.a", nil)
	ch.send(name, "1", "2")
	ch.consume(ch.queue("qd.b", nil), true)
	r.declare(c, "again", "qd.a", queueSpec{exclusive: true})
	r.declare(c, "with a consumer", "qd.b", queueSpec{exclusive: true})
	r.declare(c, "server-named", "", queueSpec{exclusive: true})
	r.declare(c, "reserved name", "amq.mine", queueSpec{})
	r.declare(c, "reserved by case", "AMQ.mine", queueSpec{exclusive: true})
	r.declare(c, "empty word", " ", queueSpec{exclusive: true})
	r.declare(c, "long", strings.Repeat("q", 255), queueSpec{exclusive: true})
	r.declare(c, "durable exclusive", "qd.de", queueSpec{exclusive: true, durable: true})
	passive := r.on(c)
	q, err := passive.QueueDeclarePassive("qd.a", true, true, false, false, amqp.Table{"x-expires": 1})
	r.add("passive", "%s %d %d %v", q.Name, q.Messages, q.Consumers, err)
	_, err = passive.QueueDeclarePassive("qd.none", false, false, false, false, nil)
	passive.note("passive absent", err)
	other := r.channel()
	_, err = other.QueueDeclarePassive("qd.a", false, false, true, false, nil)
	other.note("passive elsewhere", err)
	other = r.channel()
	_, err = other.QueueDeclare("qd.a", false, false, true, false, nil)
	other.note("exclusive elsewhere", err)
	other = r.channel()
	_, err = other.QueueDeclare("qd.a", false, false, false, false, nil)
	other.note("plain elsewhere", err)
	ch = r.on(c)
	_, err = ch.QueueDeclare("qd.nowait", false, false, true, true, nil)
	ch.note("nowait", err)
	q, err = ch.QueueDeclarePassive("qd.nowait", false, false, true, false, nil)
	r.add("nowait is there", "%s %d %d %v", q.Name, q.Messages, q.Consumers, err)
	// An empty name stands for the channel's last declared queue.
	r.add("last declared", "%v", ch.QueueBind("", "k", "amq.direct", false, nil))
	fresh := r.on(c)
	fresh.note("no last queue", fresh.QueueBind("", "k", "amq.direct", false, nil))
}

func scriptQueueInequivalent(r *amqpRun) {
	c := r.dial()
	base := []struct {
		name string
		spec queueSpec
	}{
		{"qi.exclusive", queueSpec{exclusive: true}},
		{"qi.auto", queueSpec{durable: true, autoDelete: true}},
		{"qi.args", queueSpec{exclusive: true, args: amqp.Table{
			"x-message-ttl": int32(20), "x-max-length": int64(5), "x-dead-letter-exchange": "dlx",
		}}},
	}
	for _, b := range base {
		r.declare(c, b.name, b.name, b.spec)
	}
	testCases := []struct {
		step, name string
		spec       queueSpec
	}{
		{"exclusive", "qi.exclusive", queueSpec{}},
		{"durable", "qi.auto", queueSpec{autoDelete: true}},
		{"auto-delete", "qi.auto", queueSpec{durable: true}},
		{"durable of exclusive", "qi.exclusive", queueSpec{exclusive: true, durable: true}},
		{"argument added", "qi.exclusive", queueSpec{exclusive: true, args: amqp.Table{
			"x-message-ttl": int32(10),
		}}},
		{"text argument added", "qi.exclusive", queueSpec{exclusive: true, args: amqp.Table{
			"x-dead-letter-exchange": "dlx",
		}}},
		{"unknown argument added", "qi.exclusive", queueSpec{exclusive: true, args: amqp.Table{
			"x-whatever": "yes",
		}}},
		{"argument dropped", "qi.args", queueSpec{exclusive: true}},
		{"argument changed", "qi.args", queueSpec{exclusive: true, args: amqp.Table{
			"x-message-ttl": int32(10), "x-max-length": int64(5), "x-dead-letter-exchange": "dlx",
		}}},
		{"text argument changed", "qi.args", queueSpec{exclusive: true, args: amqp.Table{
			"x-message-ttl": int32(20), "x-max-length": int64(5), "x-dead-letter-exchange": "other",
		}}},
		{"other width", "qi.args", queueSpec{exclusive: true, args: amqp.Table{
			"x-message-ttl": int64(20), "x-max-length": int16(5), "x-dead-letter-exchange": "dlx",
		}}},
		{"classic type", "qi.args", queueSpec{exclusive: true, args: amqp.Table{
			"x-message-ttl": int64(20), "x-max-length": int16(5), "x-dead-letter-exchange": "dlx",
			"x-queue-type": "classic",
		}}},
	}
	for _, tc := range testCases {
		r.declare(c, tc.step, tc.name, tc.spec)
	}
	_, _ = r.on(c).QueueDelete("qi.auto", false, false, false)
}

func scriptQueueArguments(r *amqpRun) {
	c := r.dial()
	testCases := []struct {
		step string
		args amqp.Table
	}{
		{"ttl negative", amqp.Table{"x-message-ttl": int32(-1)}},
		{"ttl zero", amqp.Table{"x-message-ttl": int32(0)}},
		{"ttl text", amqp.Table{"x-message-ttl": "ten"}},
		{"ttl bool", amqp.Table{"x-message-ttl": true}},
		{"ttl too large", amqp.Table{"x-message-ttl": int64(315360000001)}},
		{"expires zero", amqp.Table{"x-expires": int32(0)}},
		{"expires negative", amqp.Table{"x-expires": int64(-5)}},
		{"expires text", amqp.Table{"x-expires": "soon"}},
		{"max-length negative", amqp.Table{"x-max-length": int32(-1)}},
		{"max-length text", amqp.Table{"x-max-length": "5"}},
		{"max-length-bytes negative", amqp.Table{"x-max-length-bytes": int32(-1)}},
		{"max-priority text", amqp.Table{"x-max-priority": "5"}},
		{"max-priority negative", amqp.Table{"x-max-priority": int32(-1)}},
		{"max-priority too large", amqp.Table{"x-max-priority": int32(256)}},
		{"overflow unknown", amqp.Table{"x-overflow": "burst"}},
		{"overflow number", amqp.Table{"x-overflow": int32(1)}},
		{"dlx number", amqp.Table{"x-dead-letter-exchange": int32(1)}},
		{"key without dlx", amqp.Table{"x-dead-letter-routing-key": "k"}},
		{"key number", amqp.Table{
			"x-dead-letter-exchange": "x", "x-dead-letter-routing-key": int32(1),
		}},
		{"single active text", amqp.Table{"x-single-active-consumer": "yes"}},
		{"type unknown", amqp.Table{"x-queue-type": "strange"}},
		{"type number", amqp.Table{"x-queue-type": int32(1)}},
		{"queue mode", amqp.Table{"x-queue-mode": "lazy"}},
		{"unknown", amqp.Table{"x-unknown": int32(1), "other": "thing"}},
		{"all good", amqp.Table{
			"x-message-ttl": int64(1000), "x-expires": int32(60000), "x-max-length": int32(7),
			"x-max-length-bytes": int64(70), "x-overflow": "reject-publish",
			"x-max-priority": int8(3), "x-dead-letter-exchange": "", "x-single-active-consumer": true,
			"x-dead-letter-routing-key": "there", "x-queue-type": "classic",
		}},
	}
	for i, tc := range testCases {
		r.declare(c, tc.step, fmt.Sprintf("qa.%d", i), queueSpec{exclusive: true, args: tc.args})
	}
	r.declare(c, "transient quorum", "qa.quorum", queueSpec{
		args: amqp.Table{"x-queue-type": "quorum"},
	})
}

func scriptQueueDelete(r *amqpRun) {
	c := r.dial()
	ch := r.on(c)
	name := ch.queue("qx.a", nil)
	ch.send(name, "1", "2", "3")
	n, err := r.on(c).QueueDelete("qx.none", false, false, false)
	r.add("absent", "%d %v", n, err)
	other := r.on(c)
	_, err = other.QueueDelete(name, false, true, false)
	other.note("if-empty", err)
	consumer := r.on(c)
	ds := consumer.consume(ch.queue("qx.b", nil), true)
	other = r.on(c)
	_, err = other.QueueDelete("qx.b", true, false, false)
	other.note("if-unused", err)
	n, err = ch.QueueDelete(name, true, false, false)
	r.add("counts what was lost", "%d %v", n, err)
	stranger := r.channel()
	_, err = stranger.QueueDelete("qx.b", false, false, false)
	stranger.note("elsewhere", err)
	cancels := consumer.NotifyCancel(make(chan string, 1))
	n, err = ch.QueueDelete("qx.b", false, false, false)
	r.add("with a consumer", "%d %v", n, err)
	_, told := nextOf(cancels)
	r.add("consumer is told", "%t", told)
	_, ok := next(ds)
	r.add("deliveries end", "%t", !ok)
	other = r.on(c)
	_, err = other.QueueDeclarePassive("qx.b", false, false, false, false, nil)
	other.note("gone", err)
}

// nextOf waits for a value of any notification.
func nextOf[T any](ch <-chan T) (T, bool) {
	var zero T
	select {
	case v, ok := <-ch:
		return v, ok
	case <-after(comesWait):
		return zero, false
	}
}

func scriptQueueLifetime(r *amqpRun) {
	watch := r.channel()
	gone := func(step, name string) {
		err := pollGone(watch, name)
		r.add(step, "%s", err)
	}
	c := r.dial()
	ch := r.on(c)
	ch.queue("ql.exclusive", nil)
	r.declare(c, "auto-delete", "ql.auto", queueSpec{autoDelete: true})
	r.declare(c, "expires", "ql.expires", queueSpec{args: amqp.Table{"x-expires": int32(100)}})
	r.declare(c, "auto-delete unused stays", "ql.auto", queueSpec{autoDelete: true})
	if _, err := ch.Consume("ql.auto", "one", true, false, false, false, nil); err != nil {
		ch.note("consume", err)
	}
	if _, err := ch.Consume("ql.auto", "two", true, false, false, false, nil); err != nil {
		ch.note("consume", err)
	}
	r.add("cancel one", "%v", ch.Cancel("one", false))
	r.declare(c, "auto-delete still used", "ql.auto", queueSpec{autoDelete: true})
	r.add("cancel two", "%v", ch.Cancel("two", false))
	gone("auto-delete after the last", "ql.auto")
	// Asking is a use too: leave it alone for a while first.
	<-after(silence)
	gone("expires when unused", "ql.expires")
	// Exclusive queues are gone before close-ok is written.
	r.add("close", "%v", c.Close())
	_, err := watch.QueueDeclarePassive("ql.exclusive", false, false, false, false, nil)
	watch.note("exclusive after close", err)
}

// pollGone waits until queue is gone.
func pollGone(watch *channel, queue string) string {
	deadline := after(comesWait)
	for {
		ch := watch.r.on(watch.conn)
		_, err := ch.QueueDeclarePassive(queue, false, false, false, false, nil)
		if err != nil {
			return ch.outcome(err)
		}
		_ = ch.Close()
		select {
		case <-deadline:
			return "still there"
		case <-after(silence / 10):
		}
	}
}
