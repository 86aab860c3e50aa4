// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// Bounds and defaults of a subscription.
const (
	nameBytesMax    = 200 // so that the queue of a topic has a name too
	inflightDefault = 16
	inflightMax     = 256
	batchDefault    = 10
	batchMax        = 100
	attemptsDefault = 20 // resilience.md
	attemptsMax     = 100
	firstDefault    = time.Second
	mostDefault     = 5 * time.Minute
	mostMax         = time.Hour
	timeoutDefault  = 30 * time.Second
	timeoutMax      = 5 * time.Minute
	rateMax         = 1_000_000
	secretBytesMax  = 1 << 10
)

// The formats of a post.
const (
	formatBinary     = "binary"
	formatStructured = "structured"
	formatBatch      = "batch"
	formatPlain      = "plain"
)

// Definition is a push subscription as its user writes it.
type Definition struct {
	Source Source `json:"source"`
	Push   Push   `json:"push"`
}

// Source is where the messages come from: a queue, or a topic of which the subscription has a durable
// queue of its own.
type Source struct {
	Queue string `json:"queue,omitempty"`
	Topic string `json:"topic,omitempty"`
	// DeadLetter is the queue of a topic's dead letters; default: they are dropped. A queue has its own
	// rules.
	DeadLetter string `json:"dead_letter,omitempty"`
}

// Push says how to post.
type Push struct {
	URL string `json:"url"`
	// Format is binary, structured or batch, which are CloudEvents, or plain. Default binary.
	Format string `json:"format,omitempty"`
	// BatchMax bounds the events of a batch. Default 10, at most 100.
	BatchMax int `json:"batch_max,omitempty"`
	// MaxInflight bounds the posts under way. Default 16, at most 256.
	MaxInflight int `json:"max_inflight,omitempty"`
	// TimeoutMS bounds one post. Default 30 s, at most 5 min.
	TimeoutMS int64 `json:"timeout_ms,omitempty"`
	// Rate bounds the posts of a minute; the target is asked to grant it. Default: none.
	Rate  int   `json:"rate,omitempty"`
	Retry Retry `json:"retry"`
	// Secret signs the posts (Standard Webhooks); Authorization is sent as that header.
	Secret        string `json:"secret,omitempty"`
	Authorization string `json:"authorization,omitempty"`
}

// Retry says when a failed post is tried again.
type Retry struct {
	// Attempts bounds the posts of one message. Default 20, at most 100.
	Attempts uint32 `json:"attempts,omitempty"`
	// FirstMS is the pause after the first failure, doubled after each, up to MaxMS. Defaults 1 s and
	// 5 min.
	FirstMS int64 `json:"first_ms,omitempty"`
	MaxMS   int64 `json:"max_ms,omitempty"`
}

// kept is a subscription as the log has it.
type kept struct {
	Definition

	// By is the user as whom the hub consumes.
	By string `json:"by"`
	// Disabled says why nothing is posted any more.
	Disabled string `json:"disabled,omitempty"`
	// Asked is the token by which the target may consent, which it has not done at once; Granted is how
	// many posts a minute it takes, 0 is any number, since it has.
	Asked   string `json:"asked,omitempty"`
	Granted *int   `json:"granted,omitempty"`
}

// asks reports whether the target has yet to consent.
func (k *kept) asks() bool { return k.Asked != "" && k.Granted == nil }

// decodeDefinition reads a subscription and fills in what is left out.
func decodeDefinition(data []byte) (Definition, error) {
	var d Definition
	in := json.NewDecoder(bytes.NewReader(data))
	in.DisallowUnknownFields()
	if err := in.Decode(&d); err != nil {
		return d, &broker.Error{
			Code: broker.CodeBadRequest, Op: "subscription", Err: err,
			Text: strings.TrimPrefix(err.Error(), "json: "),
		}
	}
	d.Push.setDefaults()
	if err := d.Source.check(); err != nil {
		return d, err
	}
	return d, d.Push.check()
}

func (p *Push) setDefaults() {
	setDefault(&p.Format, formatBinary)
	setDefault(&p.MaxInflight, inflightDefault)
	setDefault(&p.TimeoutMS, timeoutDefault.Milliseconds())
	setDefault(&p.Retry.Attempts, attemptsDefault)
	setDefault(&p.Retry.FirstMS, firstDefault.Milliseconds())
	setDefault(&p.Retry.MaxMS, max(mostDefault.Milliseconds(), p.Retry.FirstMS))
	if p.Format == formatBatch {
		setDefault(&p.BatchMax, batchDefault)
	}
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (s *Source) check() error {
	switch {
	case (s.Queue == "") == (s.Topic == ""):
		return badRequest("source must name either a queue or a topic")
	case max(len(s.Queue), len(s.Topic), len(s.DeadLetter)) > 255:
		return badRequest("a name in source is longer than 255 bytes")
	case s.Queue != "" && s.DeadLetter != "":
		return badRequest("source.dead_letter is for topics: a queue has rules of its own")
	}
	return nil
}

func (p *Push) check() error {
	const pushed = "push."
	for _, f := range [...]struct {
		name        string
		value, most int64
	}{
		{"max_inflight", int64(p.MaxInflight), inflightMax},
		{"timeout_ms", p.TimeoutMS, timeoutMax.Milliseconds()},
		{"retry.attempts", int64(p.Retry.Attempts), attemptsMax},
		{"retry.first_ms", p.Retry.FirstMS, mostMax.Milliseconds()},
		{"retry.max_ms", p.Retry.MaxMS, mostMax.Milliseconds()},
	} {
		if f.value < 1 || f.value > f.most {
			return badRequest("%s%s must be 1 to %d", pushed, f.name, f.most)
		}
	}
	switch p.Format {
	case formatBinary, formatStructured, formatPlain:
		if p.BatchMax != 0 {
			return badRequest("push.batch_max is for format batch")
		}
	case formatBatch:
		if p.BatchMax < 1 || p.BatchMax > batchMax {
			return badRequest("push.batch_max must be 1 to %d", batchMax)
		}
	default:
		return badRequest("push.format must be binary, structured, batch or plain")
	}
	switch {
	case p.Rate < 0 || p.Rate > rateMax:
		return badRequest("push.rate must be 0 to %d posts a minute", rateMax)
	case max(len(p.Secret), len(p.Authorization)) > secretBytesMax:
		return badRequest("push.secret and push.authorization have at most %d bytes", secretBytesMax)
	case strings.ContainsFunc(p.Authorization, func(r rune) bool { return r < ' ' || r > '~' }):
		return badRequest("push.authorization must be printable ASCII")
	}
	_, err := p.key()
	return err
}

// secretPrefix marks a secret in base64 (Standard Webhooks).
const secretPrefix = "whsec_"

// key returns the bytes of the secret.
func (p *Push) key() ([]byte, error) {
	encoded, ok := strings.CutPrefix(p.Secret, secretPrefix)
	if !ok {
		return []byte(p.Secret), nil
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(key) == 0 {
		return nil, badRequest("push.secret is not base64 behind %s", secretPrefix)
	}
	return key, nil
}

// batch returns how many messages one post may carry.
func (p *Push) batch() int { return max(p.BatchMax, 1) }

// decodeKept reads a subscription of the log.
func decodeKept(data []byte) (kept, error) {
	var k kept
	if err := json.Unmarshal(data, &k); err != nil {
		return k, fmt.Errorf("subscription: %w", err)
	}
	k.Push.setDefaults()
	return k, nil
}

func (k *kept) encode() ([]byte, error) { return json.Marshal(k) }

// shownPush is a Push without what is secret in it.
type shownPush struct {
	Push

	URL           string `json:"url"`
	Secret        bool   `json:"secret"`
	Authorization bool   `json:"authorization"`
}

func (p *Push) show() shownPush {
	out := shownPush{Push: *p, Secret: p.Secret != "", Authorization: p.Authorization != ""}
	if u, err := url.Parse(p.URL); err == nil {
		out.URL = shown(u)
	}
	return out
}

func badRequest(format string, args ...any) error {
	return fault(broker.CodeBadRequest, format, args...)
}

// fault returns an error of the heart's kind, which the door knows how to show.
func fault(code broker.Code, format string, args ...any) error {
	return &broker.Error{Code: code, Op: "subscription", Text: fmt.Sprintf(format, args...)}
}
