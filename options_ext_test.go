// SPDX-License-Identifier: Apache-2.0

package parley_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-ipc/parley"
	"github.com/parley-ipc/parley/parleytest"
)

// tlsFront puts TLS before a hub's door and returns its address and what trusts it.
func tlsFront(t *testing.T, door string) (addr string, trust *x509.CertPool) {
	t.Helper()
	web := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate
	t.Cleanup(web.Close)
	trust = x509.NewCertPool()
	trust.AddCert(web.Certificate())
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: web.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	wait.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			hub, err := net.Dial("tcp", door)
			if err != nil {
				client.Close()
				continue
			}
			wait.Go(func() { _, _ = io.Copy(client, hub); client.Close() })
			wait.Go(func() { _, _ = io.Copy(hub, client); hub.Close() })
		}
	})
	t.Cleanup(func() {
		l.Close()
		wait.Wait()
	})
	return l.Addr().String(), trust
}

func TestDialOverTLS(t *testing.T) {
	t.Parallel()
	addr, trust := tlsFront(t, parleytest.Hub(t).Addr("amqp"))
	c := dial(t, "parleys://"+addr, parley.WithTLS(&tls.Config{RootCAs: trust}),
		parley.WithHeartbeat(time.Second))
	if ok, err := c.HasExchange(within(t), "amq.topic"); !ok || err != nil {
		t.Errorf("HasExchange = %v, %v", ok, err)
	}
	if _, err := parley.Dial(within(t), "parleys://"+addr); !errors.Is(err, parley.CodeUnreachable) {
		t.Errorf("a certificate that nobody trusts: %v, want %s", err, parley.CodeUnreachable)
	}
}

// xmlCodec shows that a codec is all that another format takes.
type xmlCodec struct{}

func (xmlCodec) ContentType() string          { return "application/xml" }
func (xmlCodec) Encode(v any) ([]byte, error) { return xml.Marshal(v) }
func (xmlCodec) Decode(b []byte, v any) error { return xml.Unmarshal(b, v) }

func TestCodecs(t *testing.T) {
	t.Parallel()
	url := startHub(t)
	op := parley.NewOp[number, number]("svc.Op", parley.WithCodec(xmlCodec{}))
	topic := parley.NewTopic[number]("numbers", parley.WithTopicCodec(xmlCodec{}))
	asked := make(chan parley.Meta, 1)
	heard := make(chan int, 1)
	run(t, url, "svc", func(s *parley.Service) {
		op.Handle(s, func(ctx context.Context, n number) (number, error) {
			asked <- parley.MetaFrom(ctx)
			return number{n.N + 1}, nil
		})
		topic.Subscribe(s, "", func(_ context.Context, n number) error {
			heard <- n.N
			return nil
		})
	})
	c := dial(t, url)
	if got, err := op.Call(within(t), c, number{1}); err != nil || got.N != 2 {
		t.Errorf("call = %v, %v", got, err)
	}
	if m := receive(t, asked); m.ContentType != "application/xml" || m.Operation != op.Operation() {
		t.Errorf("meta = %+v", m)
	}
	if err := topic.Publish(within(t), c, number{7}); err != nil {
		t.Fatal(err)
	}
	if n := receive(t, heard); n != 7 {
		t.Errorf("%s brought %d", topic.Name(), n)
	}
	// The same service read as JSON: what comes back is no JSON.
	raw := parley.NewOp[[]byte, number]("svc.Op", parley.WithCodec(parley.JSON()))
	_, err := raw.Call(within(t), c, []byte("<number><N>1</N></number>"))
	if !errors.Is(err, parley.CodeBadReply) || !strings.Contains(err.Error(), "decode") {
		t.Errorf("err = %v, want %s", err, parley.CodeBadReply)
	}
}

func TestExpiredMessagesAreGone(t *testing.T) {
	t.Parallel()
	url := startHub(t)
	op := parley.NewOp[number, number]("svc")
	got := make(chan int, 2)
	register := func(s *parley.Service) {
		op.Handle(s, func(_ context.Context, n number) (number, error) {
			got <- n.N
			return n, nil
		})
	}
	if err := run(t, url, "svc", register)(); err != nil { // declares the queue
		t.Fatal(err)
	}
	c := dial(t, url)
	if err := op.Send(within(t), c, number{1}, parley.Expires(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	waitEmpty(t, c, "svc")
	if err := op.Send(within(t), c, number{2}); err != nil {
		t.Fatal(err)
	}
	run(t, url, "svc", register)
	if n := receive(t, got); n != 2 {
		t.Errorf("message %d came, which had expired", n)
	}
}
