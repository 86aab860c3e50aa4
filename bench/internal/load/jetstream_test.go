// SPDX-License-Identifier: Apache-2.0

package load

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// jetFaults says where miniNATS, when it plays JetStream, goes wrong.
type jetFaults struct {
	apiError bool          // refuses to make a stream
	refuse   uint64        // answers this publish with an error
	misplace uint64        // gives this publish another number
	acks     atomic.Uint64 // acknowledgements that came
}

// jet plays JetStream for one PUB, and reports whether it was one for it.
func (s *miniNATS) jet(pub []string, body []byte) bool {
	if s.faults == nil {
		return false
	}
	subject := pub[1]
	send := func(to string, reply, text string) {
		conn := s.subs[to]
		if conn == nil {
			conn = s.subs[to[:strings.LastIndexByte(to, '.')+1]]
		}
		if conn != nil {
			_, _ = fmt.Fprintf(conn, "MSG %s 1 %s%d\r\n%s\r\n", to, reply, len(text), text)
		}
	}
	switch {
	case strings.HasPrefix(subject, "$JS.API."):
		if s.faults.apiError {
			send(pub[2], "", `{"error":{"code":503,"description":"no room"}}`)
			break
		}
		send(pub[2], "", `{"config":{}}`)
	case strings.HasPrefix(subject, "$JS.ACK."):
		s.faults.acks.Add(1)
	default:
		seq := s.stored[subject] + 1
		s.stored[subject] = seq
		text := fmt.Sprintf(`{"stream":%q, "seq": %d}`, subject, seq)
		switch seq {
		case s.faults.refuse:
			text = fmt.Sprintf(`{"error":{"code":503},"stream":%q,"seq":0}`, subject)
		case s.faults.misplace:
			text = fmt.Sprintf(`{"stream":%q,"seq":%d}`, subject, seq+1)
		}
		send(pub[2], "", text)
		send(jetDeliverTo+subject, fmt.Sprintf("$JS.ACK.%s.%d ", subject, seq), string(body[:len(body)-2]))
	}
	return true
}

func jetParams(t *testing.T, faults *jetFaults) Params {
	t.Helper()
	p := brief(startJet(t, faults))
	p.Protocol, p.Drain = JetStream, 10*time.Second
	return p
}

func TestJetStreamConfirmsAndAcknowledgesEveryMessage(t *testing.T) {
	t.Parallel()
	var faults jetFaults
	res, err := Confirmed(t.Context(), jetParams(t, &faults), Shape{BodyBytes: 64, Lanes: 2})
	if err != nil {
		t.Fatal(err)
	}
	if res.Sent == 0 || res.Sent != res.Received || res.P50 <= 0 {
		t.Errorf("%+v", res)
	}
	// The last ones may still be under way when the links are closed.
	if acks := faults.acks.Load(); acks == 0 || acks > res.Received {
		t.Errorf("%d acknowledgements of %d messages", acks, res.Received)
	}
}

func TestJetStreamFaultsEndTheRun(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		name   string
		faults *jetFaults
		want   string
	}{
		{"no stream", &jetFaults{apiError: true}, "503 no room"},
		{"refused", &jetFaults{refuse: 5}, "publish of message 4"},
		{"misplaced", &jetFaults{misplace: 7}, "message 6 is stored as 8"},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := Confirmed(t.Context(), jetParams(t, tc.faults), Shape{BodyBytes: 16, Lanes: 1})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}

func TestJetStreamHasNoTransientSide(t *testing.T) {
	t.Parallel()
	p := Params{Protocol: JetStream}
	if _, err := Stream(t.Context(), p, 16); err == nil {
		t.Error("a stream of transient messages was accepted")
	}
	drv, err := newDriver(p)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := drv.publisher(t.Context(), publishOptions{}); err == nil {
		t.Error("a publisher without confirms was accepted")
	}
	if _, _, err := drv.asker(t.Context(), nil); err == nil {
		t.Error("requests were accepted")
	}
}

func TestPubAckThatIsNone(t *testing.T) {
	t.Parallel()
	for _, m := range []*delivery{
		{correlation: []byte("xyz"), body: []byte(`{"seq":1}`)},
		{correlation: []byte("0000000000000000"), body: []byte(`{"stream":"s"}`)},
		{correlation: []byte("0000000000000000"), body: []byte(`{"seq":x}`)},
	} {
		err := takePubAck(m, func(uint64, bool) error { return nil })
		if err == nil {
			t.Errorf("%s for %s was taken", m.body, m.correlation)
		}
	}
}
