// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/thrift"
)

// script is a WebSocket whose client sends some messages and goes.
type script struct {
	send  [][]byte
	got   [][]byte
	codes []int
}

func (s *script) Read(context.Context) ([]byte, error) {
	if len(s.send) == 0 {
		return nil, errors.New("the client is gone")
	}
	m := s.send[0]
	s.send = s.send[1:]
	return m, nil
}

func (s *script) Write(_ context.Context, message []byte) error {
	s.got = append(s.got, message)
	return nil
}

func (s *script) Close(code int, _ string) error {
	s.codes = append(s.codes, code)
	return nil
}

// TestWebSocketAnswerTooLarge: an answer that is larger than a frame can be is an exception, and the
// conversation goes on; at its end the WebSocket is closed.
func TestWebSocketAnswerTooLarge(t *testing.T) {
	t.Parallel()
	const frame = 1 << 10
	s := &script{}
	h := newHub(t, func(o *Options) {
		o.Rules.FrameBytes = frame
		o.Upgrade = func(http.ResponseWriter, *http.Request, int64) (MessageConn, error) { return s, nil }
	})
	h.serve("svc", func(q *question) *broker.Message {
		head := wire.Head{Name: []byte(q.operation), Type: wire.Reply, Seq: 1}
		text := "small"
		if q.operation == "large" {
			text = strings.Repeat("x", frame)
		}
		return answered(t, typeBinary, message(wire.Binary, head, 0, text))
	})
	for i, name := range []string{"large", "small"} {
		s.send = append(s.send, framed(ask(wire.Binary, name, "Ada", int32(i))))
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	r.Header.Set("Upgrade", "websocket")
	conn := h.open()
	from := Caller{Sessions: oneSession{conn.session}, User: "guest", VHost: "/"}
	h.door.ServeHTTP(httptest.NewRecorder(), r, from)
	if len(s.got) != 2 || len(s.codes) != 1 || s.codes[0] != closeNormal {
		t.Fatalf("%d answers, closed with %v", len(s.got), s.codes)
	}
	var answers [2]parsed
	for i, b := range s.got {
		m, err := wire.NewStream(bytes.NewReader(b), wire.DefaultLimits()).Next()
		if err != nil {
			t.Fatal(err)
		}
		answers[i] = parse(t, m.Protocol, m.Bytes)
	}
	answers[0].failsWith(t, wire.InternalError, "bad-reply: the answer is too large for the form of the call")
	if answers[1].text != "small" {
		t.Errorf("%+v", answers[1])
	}
}

// oneSession is a session that nobody else uses.
type oneSession struct{ s *broker.Session }

func (o oneSession) Take() (*broker.Session, error) { return o.s, nil }

func (o oneSession) Give(s *broker.Session) { s.Flush() }
