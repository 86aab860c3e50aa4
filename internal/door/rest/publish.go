// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"crypto/rand"
	"encoding/base64"
	"mime"
	"net/http"
	"net/url"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// confirmTime bounds the wait for the log; a log that takes longer has failed.
const confirmTime = 60 * time.Second

// routedBody answers a publish.
type routedBody struct {
	Routed int `json:"routed"`
}

// target is where a publish goes.
type target struct {
	exchange, key string
	mandatory     bool
	// delay is how long the message waits before it is routed.
	delay time.Duration
	// location is the collection that the message becomes a member of.
	location string
}

// sendToQueue is POST /queues/{q}/messages: one message to one queue, which must exist.
func (d *Door) sendToQueue(v *visit) error {
	queue := v.path("q")
	return d.publish(v, target{
		exchange: "", key: queue, mandatory: true,
		location: "/queues/" + url.PathEscape(queue) + "/messages/",
	})
}

// publishToExchange is POST /exchanges/{x}/messages?key=k[&mandatory=1].
func (d *Door) publishToExchange(v *visit) error {
	mandatory, err := v.flag("mandatory")
	if err != nil {
		return err
	}
	name := v.path("x")
	return d.publish(v, target{
		exchange: exchangeName(name), key: v.r.URL.Query().Get("key"), mandatory: mandatory,
		location: "/exchanges/" + url.PathEscape(name) + "/messages/",
	})
}

// publishToTopic is POST /topics/{t}/messages.
func (d *Door) publishToTopic(v *visit) error {
	topic := v.path("t")
	return d.publish(v, target{
		exchange: d.options.TopicExchange, key: topic, mandatory: false,
		location: "/topics/" + url.PathEscape(topic) + "/messages/",
	})
}

// exchangeName undoes the name that stands for the default exchange in a path.
func exchangeName(name string) string {
	if name == "amq.default" {
		return ""
	}
	return name
}

// checkAlarm refuses what brings messages in while memory or disk is short, before its body is
// read. Consuming goes on, and so do answers, which let messages go.
func (d *Door) checkAlarm() error {
	if reason := d.options.Broker.Alarm(); reason != "" {
		return problemf("alarm", "publishing is refused: %s", reason)
	}
	return nil
}

func (d *Door) publish(v *visit, to target) error {
	if err := d.checkAlarm(); err != nil {
		return err
	}
	if len(to.key) > nameBytesMax {
		return badRequest("the routing key is longer than %d bytes", nameBytesMax)
	}
	mode := eventModeOf(v.r.Header)
	if t, _, err := mime.ParseMediaType(v.r.Header.Get("Content-Type")); err == nil &&
		t == typeLines {
		return d.publishLines(v, to)
	} else if mode == eventBatch {
		return d.publishEvents(v, to)
	}
	p, delay, err := sendPropertiesIn(v.r.Header)
	if err != nil {
		return err
	}
	to.delay = delay
	if mode == structuredEvent {
		if err := v.unpacked(); err != nil {
			return err
		}
	}
	body, err := v.body()
	if err != nil {
		return err
	}
	if body, err = eventIn(mode, v.r.Header, &p, body); err != nil {
		return err
	}
	m, err := to.message(&p, body)
	if err != nil {
		return err
	}
	once := broker.OnceParams{MessageID: p.MessageID}
	switch once.Key, once.Fingerprint, err = v.idempotency(body); {
	case err != nil:
		return err
	case once.Key != "":
		return d.publishOnce(v, to, m, once)
	}
	routed, status := 0, http.StatusCreated
	err = v.work(func(w *worker) error {
		sent, err := w.send(m, to.params())
		routed = sent.routed
		switch {
		case err != nil:
			return err
		case parsePrefer(v.r.Header).async:
			status = http.StatusAccepted
			v.w.Header().Set("Preference-Applied", "respond-async")
			return sent.refused()
		}
		return sent.confirmed(v)
	})
	if err != nil {
		return to.explain(err)
	}
	v.w.Header().Set("Location", v.base()+to.location+url.PathEscape(p.MessageID))
	return v.reply(status, routedBody{Routed: routed})
}

// message makes a message for the target. One without a message id gets one.
func (t *target) message(p *broker.Properties, body []byte) (*broker.Message, error) {
	if p.ReplyTo == broker.DirectReplyTo {
		// It stands for a consumer of the sender's own connection (amqp-0-9-1.md).
		return nil, badRequest("nobody waits at %s over HTTP: call the service, or name a queue",
			broker.DirectReplyTo)
	}
	if p.Set&broker.HasMessageID == 0 {
		p.MessageID, p.Set = newID(), p.Set|broker.HasMessageID
	}
	p.DeliveryMode, p.Set = 2, p.Set|broker.HasDeliveryMode
	m, err := newMessage(p, body)
	if err != nil {
		return nil, err
	}
	m.Exchange, m.Key = []byte(t.exchange), []byte(t.key)
	return m, nil
}

// explain says what it means that a mandatory message reached no queue: of the default exchange, that
// there is no such queue.
func (t *target) explain(err error) error {
	p := problemOf(err)
	switch {
	case p.word != "unroutable":
		return err
	case t.exchange == "":
		return problemf(wordNotFound, "no queue '%s'", t.key)
	}
	return problemf("unroutable", "no queue gets what is published to '%s' with key '%s'", t.exchange,
		t.key)
}

// sent is a message that was published.
type sent struct {
	w      *worker
	seq    uint64
	routed int
	full   bool // a queue refused it
}

// params say how the message is published.
func (t *target) params() (p broker.PublishParams) {
	p.Mandatory, p.Delay = t.mandatory, t.delay
	return p
}

// send publishes a message; what became of it is known later.
func (w *worker) send(m *broker.Message, p broker.PublishParams) (sent, error) {
	out := sent{w: w, seq: w.sink.next()}
	var err error
	if out.routed, err = w.Publish(m, p); err != nil {
		w.spent = true // its count of publishes may no longer be the heart's
		return out, err
	}
	// A full queue refuses at once; what is refused later the log could not keep. When the log was
	// very fast, it helps that a message for one queue that refused it is in none.
	_, refused, _ := w.sink.outcome(out.seq)
	out.full = refused && (out.routed == 0 || len(m.Exchange) > 0)
	w.Flush()
	return out, nil
}

// refused says why the message is refused, if that is known already: what is answered with 202 is
// not safe yet, but it is in its queues.
func (s *sent) refused() error {
	_, refused, returned := s.w.sink.outcome(s.seq)
	switch {
	case refused && s.full:
		return problemf("queue-full", "a queue is full and refuses the message")
	case refused:
		return problemf(wordInternal, "the log could not keep the message")
	case returned != nil:
		return returned
	}
	return nil
}

// confirmed waits until the message is safe.
func (s *sent) confirmed(v *visit) error {
	w := s.w
	late := time.NewTimer(confirmTime)
	defer late.Stop()
	for {
		if confirmed, refused, _ := w.sink.outcome(s.seq); confirmed || refused {
			return s.refused()
		}
		if w.late {
			return errLogLate()
		}
		select {
		case <-w.sink.wake:
		case <-late.C:
			w.spent, w.late = true, true
			return errLogLate()
		case <-v.client.gone:
			w.spent = true
			return problemf(wordDraining, "the hub ended the connection")
		case <-v.r.Context().Done():
			w.spent = true
			return problemf("canceled", "the caller went away")
		}
	}
}

func errLogLate() error {
	return problemf(wordInternal, "the log did not confirm the message in time")
}

// idBytes is the size of names that must not be guessed (128 bits).
const idBytes = 16

// newID returns 22 random characters that need no escape in a URL.
func newID() string {
	var raw [idBytes]byte
	_, _ = rand.Read(raw[:]) // never fails: crypto/rand ends the process instead
	return base64.RawURLEncoding.EncodeToString(raw[:])
}
