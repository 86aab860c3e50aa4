// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"net"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-stomp/stomp/v3/frame"

	"github.com/parley-ipc/parley/test/harness"
)

// stompRun is one script's run on one broker.
type stompRun struct {
	notes

	t     *testing.T
	b     *harness.Broker
	peers []*peer
}

// stompScript is a named script.
type stompScript struct {
	name string
	run  func(*stompRun)
}

// runSTOMP runs s on b and returns what it noted.
func runSTOMP(t *testing.T, s stompScript, b *harness.Broker) []note {
	t.Helper()
	r := &stompRun{t: t, b: b}
	defer func() {
		for _, p := range r.peers {
			p.close()
		}
	}()
	s.run(r)
	return r.lines
}

// A peer is a STOMP connection one frame at a time: go-stomp's codec without its
// conversation, which hides headers and receipts.
type peer struct {
	r      *stompRun
	conn   net.Conn
	w      *frame.Writer
	frames chan *frame.Frame
	wg     sync.WaitGroup
	done   chan struct{}
}

// raw opens a connection without a CONNECT.
func (r *stompRun) raw() *peer {
	conn, err := net.Dial("tcp", r.b.STOMP)
	if err != nil {
		r.t.Errorf("dial %s: %v", r.b.STOMP, err)
		runtime.Goexit() // not FailNow: a script runs beside the test's goroutine
	}
	const room = 256
	p := &peer{
		r: r, conn: conn, w: frame.NewWriter(conn),
		frames: make(chan *frame.Frame, room), done: make(chan struct{}),
	}
	p.wg.Go(func() {
		defer close(p.frames)
		in := frame.NewReader(conn)
		for {
			f, err := in.Read()
			if err != nil {
				return
			}
			if f == nil {
				continue // a heart-beat
			}
			select {
			case p.frames <- f:
			case <-p.done:
				return
			}
		}
	})
	r.peers = append(r.peers, p)
	return p
}

// peer opens a connection that is logged in with STOMP 1.2.
func (r *stompRun) peer() *peer { return r.version("1.2") }

// version opens a connection that is logged in with the given version.
func (r *stompRun) version(v string) *peer {
	p := r.raw()
	p.send(frame.CONNECT, "", "accept-version", v, "host", "/", "login", "guest", "passcode", "guest")
	if f := p.next(); f == nil || f.Command != frame.CONNECTED {
		r.t.Errorf("%s: no CONNECTED: %s", r.b.Name, frameText(f))
		runtime.Goexit()
	}
	return p
}

func (p *peer) close() {
	close(p.done)
	_ = p.conn.Close()
	p.wg.Wait()
}

// send writes a frame; a failed write shows in what is read.
func (p *peer) send(command, body string, headers ...string) {
	f := frame.New(command, headers...)
	f.Body = []byte(body)
	if body != "" && !slices.Contains(headers, frame.ContentLength) {
		f.Header.Add(frame.ContentLength, itoa(len(body)))
	}
	_ = p.w.Write(f)
}

// bytes writes raw text.
func (p *peer) bytes(text string) { _, _ = p.conn.Write([]byte(text)) }

// next waits for a frame; nil when the connection ended or nothing came.
func (p *peer) next() *frame.Frame {
	select {
	case f := <-p.frames:
		return f
	case <-after(comesWait):
		return nil
	}
}

// note records the next frame. What it returns is never nil, so that a script
// goes on and shows where the brokers part.
func (p *peer) note(step string) *frame.Frame {
	f := frame.New("")
	text := "nothing"
	select {
	case got, ok := <-p.frames:
		if ok {
			f, text = got, frameText(got)
		} else {
			text = "closed"
		}
	case <-after(comesWait):
	}
	p.r.add(step, "%s", text)
	return f
}

// silence records that nothing more comes.
func (p *peer) silence(step string) {
	select {
	case f, ok := <-p.frames:
		if !ok {
			p.r.add(step, "closed")
			return
		}
		p.r.add(step, "unexpected: %s", frameText(f))
	case <-after(silence):
		p.r.add(step, "silence")
	}
}

// sync sends a frame that changes nothing, with a receipt, and reports whether
// it came: all that was sent before has been processed then.
func (p *peer) sync() bool {
	p.send(frame.BEGIN, "", "transaction", "sync", "receipt", "sync")
	p.send(frame.ABORT, "", "transaction", "sync")
	f := p.next()
	return f != nil && f.Command == frame.RECEIPT
}

// A session's name is made up by the broker.
var session = regexp.MustCompile(`@@[^@]+@@`)

// frameText prints a frame: all headers but those that differ from run to run.
func frameText(f *frame.Frame) string {
	if f == nil {
		return "nothing"
	}
	var headers []string
	for i := range f.Header.Len() {
		k, v := f.Header.GetAt(i)
		switch k {
		case "server":
			continue
		case "session":
			v = "NAME"
		case "message-id", "ack":
			v = session.ReplaceAllString(v, "@@SESSION@@")
		}
		headers = append(headers, k+":"+v)
	}
	slices.Sort(headers)
	text := f.Command + " " + strings.Join(headers, " ")
	if len(f.Body) > 0 {
		text += " body=" + quote(string(f.Body))
	}
	return queueName.ReplaceAllString(plain(text), "stomp-subscription-NAME")
}

// The name of a subscription's queue, made up by the broker.
var queueName = regexp.MustCompile(`stomp-subscription-[A-Za-z0-9_-]+`)
