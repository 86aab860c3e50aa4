// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

const (
	// tunnelStall is how long nothing may go through a connection that has switched protocols.
	tunnelStall = 5 * time.Minute
	// tunnelBytes is the buffer of its way to the service; the other way has that of the passage.
	tunnelBytes = 8 << 10
)

// upgrade returns the protocols to which the client asks to switch (RFC 9110 §7.8), "" for none: of a
// request of HTTP/1.1 without a body. To a service that is a queue such a request is like any other.
func (v *visit) upgrade() string {
	lines := v.r.Header["Upgrade"]
	if len(lines) == 0 || v.r.ProtoMajor != 1 || v.r.ProtoMinor != 1 || v.r.ContentLength != 0 {
		return ""
	}
	for _, line := range v.r.Header["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(name), "upgrade") {
				return strings.Join(lines, ", ")
			}
		}
	}
	return ""
}

// tunnel connects client and service, which has switched protocols, until one of them ends, nothing has
// gone through for tunnelStall, or the hub stops. It counts as a stream of its user.
func (p *passage) tunnel(reply *broker.Reply) error {
	far, ok := reply.Stream.(io.ReadWriter)
	if !ok {
		return problemf(wordBadReply, "the service switched protocols, which nobody asked for")
	}
	v := p.v
	near, buffered, err := http.NewResponseController(v.w).Hijack()
	if err != nil {
		return err
	}
	v.status = http.StatusSwitchingProtocols
	stalled := make(chan struct{}, 1)
	idle := time.AfterFunc(tunnelStall, func() {
		select {
		case stalled <- struct{}{}:
		default:
		}
	})
	defer idle.Stop()
	write := func(b []byte) error {
		idle.Reset(tunnelStall)
		_ = near.SetWriteDeadline(time.Now().Add(streamWriteTime)) // the write says what is wrong
		_, err := near.Write(b)
		return err
	}
	ended := make(chan struct{}, 2)
	go func() {
		defer func() { ended <- struct{}{} }()
		err := write(p.switching(reply))
		for err == nil {
			var n int
			n, err = far.Read(p.buf[:])
			if failed := write(p.buf[:n]); failed != nil {
				return
			}
		}
	}()
	go func() {
		defer func() { ended <- struct{}{} }()
		buf := make([]byte, tunnelBytes)
		for {
			n, err := buffered.Read(buf)
			idle.Reset(tunnelStall)
			if _, failed := far.Write(buf[:n]); failed != nil || err != nil {
				return
			}
		}
	}()
	left := 2
	select {
	case <-ended:
		left--
	case <-stalled:
	case <-v.client.gone:
	case <-v.door.draining:
	}
	_, _ = near.Close(), reply.Stream.Close() // what is under way ends with an error that says no more
	for range left {
		<-ended
	}
	return nil
}

// switching writes the head of the answer that a connection switches with.
func (p *passage) switching(reply *broker.Reply) []byte {
	b := append(p.scratch[:0], "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "...)
	b = append(append(b, reply.Head.Get("upgrade")...), "\r\nVia: "+via+"\r\n"...)
	reply.Head.Each(func(name, value string) bool {
		name = http.CanonicalHeaderKey(name)
		if passesThrough(name) && token(name) && fieldValue(value) {
			b = append(append(append(append(b, name...), ": "...), value...), "\r\n"...)
		}
		return true
	})
	return append(b, "\r\n"...)
}
