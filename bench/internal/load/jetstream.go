// SPDX-License-Identifier: Apache-2.0

package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// jetDriver is JetStream over the text protocol of NATS. A queue is a stream of one subject on file
// with one durable push consumer and explicit acknowledgements. Messages are published without
// waiting, each with a reply subject of its own to which its PubAck comes.
//
// The stream has the default retention, "limits", and keeps what is acknowledged. With "workqueue",
// which forgets it as a queue does, JetStream is slower, because forgetting is written and synced,
// too: the comparison is with its better side.
type jetDriver struct {
	natsDriver
}

var _ driver = (*jetDriver)(nil)

const (
	jetConsumerName  = "bench"
	jetAnswerSubject = "_INBOX.benchapi."
	jetAckSubject    = "_INBOX.benchack."
	jetDeliverTo     = "_DELIVER."
)

// streamConfig is the part of a stream's configuration that is not left to the server.
type streamConfig struct {
	Name      string   `json:"name"`
	Subjects  []string `json:"subjects"`
	Retention string   `json:"retention"`
	Storage   string   `json:"storage"`
	Replicas  int      `json:"num_replicas"`
}

// consumerConfig is the same of a consumer.
type consumerConfig struct {
	Name           string `json:"name"`
	Durable        string `json:"durable_name"`
	DeliverSubject string `json:"deliver_subject"`
	DeliverPolicy  string `json:"deliver_policy"`
	AckPolicy      string `json:"ack_policy"`
	MaxAckPending  int    `json:"max_ack_pending"`
}

// publisher implements driver; without confirms there is nothing that JetStream would add.
func (d *jetDriver) publisher(ctx context.Context, o publishOptions) (*link, *batch, error) {
	if o.confirmed == nil {
		return nil, nil, errors.New("JetStream is measured with confirms only")
	}
	inbox := jetAckSubject + o.queue + "." // a queue has one publisher
	s := &natsScanner{deliver: func(*delivery) {}, answers: jetAnswerSubject + "pub." + o.queue}
	l, err := d.open(ctx, s, "SUB "+inbox+"* 1\r\n", func(l *link) error {
		return s.createStream(l, o.queue)
	})
	if err != nil {
		return nil, nil, err
	}
	s.confirmed = func(m *delivery) error { return takePubAck(m, o.confirmed) }
	body := filler(o.bodyBytes)
	reply := inbox + strings.Repeat("0", maxSequenceDigits)
	msg := appendPub(nil, o.queue, []byte(reply), body)
	return l, newBatch(messageLayout{
		encoded: msg,
		seqAt:   len(msg) - 2 - len(body),
		hexAt:   bytes.Index(msg, []byte(reply)) + len(inbox),
	}), nil
}

// takePubAck reads an answer to a publish, {"stream":"…","seq":N}. Its subject ends with the number
// of the message, and the stream, which has one publisher, must have given it the same.
func takePubAck(m *delivery, confirmed func(tag uint64, multiple bool) error) error {
	seq, err := strconv.ParseUint(string(m.correlation), 16, 64)
	if err != nil {
		return fmt.Errorf("PubAck for message %q", m.correlation)
	}
	const field = `"seq":`
	at := bytes.Index(m.body, []byte(field))
	if at < 0 || bytes.Contains(m.body, []byte(`"error"`)) {
		return fmt.Errorf("publish of message %d: %s", seq, m.body)
	}
	var stored uint64
	for _, c := range bytes.TrimLeft(m.body[at+len(field):], " ") {
		if c < '0' || c > '9' {
			break
		}
		stored = stored*10 + uint64(c-'0')
	}
	if stored != seq+1 {
		return fmt.Errorf("message %d is stored as %d", seq, stored)
	}
	return confirmed(seq+1, false)
}

// consumer implements driver.
func (d *jetDriver) consumer(ctx context.Context, o consumeOptions) (*link, error) {
	if !o.durable {
		return nil, errors.New("JetStream is measured with durable consumers only")
	}
	s := &natsScanner{deliver: o.deliver, answers: jetAnswerSubject + "sub." + o.queue}
	to := jetDeliverTo + o.queue
	return d.open(ctx, s, "SUB "+to+" 1\r\n", func(l *link) error {
		if err := s.createStream(l, o.queue); err != nil {
			return err
		}
		return s.request(l, "$JS.API.CONSUMER.CREATE."+o.queue+"."+jetConsumerName, map[string]any{
			"stream_name": o.queue,
			"config": consumerConfig{
				Name: jetConsumerName, Durable: jetConsumerName, DeliverSubject: to,
				DeliverPolicy: "all", AckPolicy: "explicit", MaxAckPending: prefetchMessages,
			},
		})
	})
}

// asker implements driver.
func (d *jetDriver) asker(context.Context, func(*delivery)) (*link, *batch, error) {
	return nil, nil, errors.New("requests do not go through JetStream")
}

// appendAck implements driver: an empty message to the reply subject acknowledges.
func (d *jetDriver) appendAck(dst []byte, m *delivery) []byte {
	return appendPub(dst, m.replyTo, nil, nil)
}

// createStream makes the stream of a queue; one that is there already is as good.
func (s *natsScanner) createStream(l *link, queue string) error {
	return s.request(l, "$JS.API.STREAM.CREATE."+queue, streamConfig{
		Name: queue, Subjects: []string{queue}, Retention: "limits", Storage: "file", Replicas: 1,
	})
}

// request asks the server for something and waits until it has answered. Nothing else may be
// delivered meanwhile.
func (s *natsScanner) request(l *link, subject string, content any) error {
	body, err := json.Marshal(content)
	if err != nil {
		return err
	}
	wire := appendPub([]byte("SUB "+s.answers+" 2\r\n"), subject, []byte(s.answers), body)
	if _, err := l.conn.Write(wire); err != nil {
		return err
	}
	var answer []byte
	deliver := s.deliver
	s.deliver = func(m *delivery) { answer = bytes.Clone(m.body) }
	defer func() { s.deliver = deliver }()
	for answer == nil {
		if err := s.read(l); err != nil {
			return fmt.Errorf("%s: %w", subject, err)
		}
	}
	var said struct {
		Error *struct {
			Code        int    `json:"code"`
			Description string `json:"description"`
		} `json:"error"`
	}
	if err := json.Unmarshal(answer, &said); err != nil {
		return fmt.Errorf("%s: %w", subject, err)
	}
	if said.Error != nil {
		return fmt.Errorf("%s: %d %s", subject, said.Error.Code, said.Error.Description)
	}
	_, err = l.conn.Write([]byte("UNSUB 2\r\n"))
	return err
}
