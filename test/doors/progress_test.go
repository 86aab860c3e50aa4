// SPDX-License-Identifier: Apache-2.0

package doors

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-stomp/stomp/v3"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-ipc/parley/hub"
)

const (
	progressHeader = "parley-progress"
	wantsHeader    = "parley-wants"
)

// TestProgress: a request that was asked over HTTP shows how far its service is, whichever protocol
// that speaks; then it has its answer.
func TestProgress(t *testing.T) {
	t.Parallel()
	h := start(t, func(o *hub.Options) {
		o.Doors.AMQP.Listen, o.Doors.STOMP.Listen = free, free
		o.Doors.REST.Listen, o.Doors.Line.Listen = free, free
	})
	for name, serve := range map[string]func(*testing.T, *hub.Hub, string, <-chan struct{}) error{
		"amqp": progressByAMQP, "stomp": progressBySTOMP, "line": progressByLine,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base := "http://" + h.Addr("rest").String()
			show(t, http.MethodPut, base+"/v1/queues/"+name, http.StatusCreated)
			at := show(t, http.MethodPost, base+"/v1/services/"+name+"/do", http.StatusAccepted)
			seen, ended := make(chan struct{}), make(chan error, 1)
			go func() { ended <- serve(t, h, name, seen) }()
			state := base + at.header.Get("Location")
			for end := time.Now().Add(wait); ; {
				at = show(t, http.MethodGet, state, http.StatusOK)
				if strings.Contains(at.body, `"progress":{"percent":40,"text":"copying"`) {
					break
				}
				if time.Now().After(end) {
					t.Fatalf("no progress: %s", at.body)
				}
				time.Sleep(time.Millisecond) // polls a state
			}
			lineProgress(t, h, state[strings.LastIndexByte(state, '/')+1:])
			close(seen)
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			if at = show(t, http.MethodGet, state+"/response", http.StatusOK); at.body != "42" {
				t.Errorf("answer %q", at.body)
			}
		})
	}
}

// shown is an answer of the REST door.
type shown struct {
	header http.Header
	body   string
}

func show(t *testing.T, method, url string, want int) shown {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case method == http.MethodPost:
		r.Header.Set("Prefer", "respond-async")
	case strings.HasSuffix(url, "/response"):
		r.Header.Set("Prefer", "wait=10")
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var body strings.Builder
	if _, err := bufio.NewReader(res.Body).WriteTo(&body); err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != want {
		t.Fatalf("%s %s: %s %s", method, url, res.Status, body.String())
	}
	return shown{res.Header, body.String()}
}

func progressByAMQP(t *testing.T, h *hub.Hub, queue string, seen <-chan struct{}) error {
	conn, err := amqp.Dial("amqp://guest:guest@" + h.Addr("amqp").String() + "/")
	if err != nil {
		return err
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	list, err := ch.Consume(queue, "", true, false, false, false, nil)
	if err != nil {
		return err
	}
	d := <-list
	if d.Headers[wantsHeader] != "progress" {
		return fmt.Errorf("headers %v", d.Headers)
	}
	send := func(headers amqp.Table, body string) error {
		return ch.PublishWithContext(t.Context(), "", d.ReplyTo, false, false, amqp.Publishing{
			CorrelationId: d.CorrelationId, Headers: headers, Body: []byte(body),
		})
	}
	if err := send(amqp.Table{progressHeader: "40 copying"}, "no answer"); err != nil {
		return err
	}
	<-seen
	return send(nil, "42")
}

func progressBySTOMP(_ *testing.T, h *hub.Hub, queue string, seen <-chan struct{}) error {
	conn, err := stomp.Dial("tcp", h.Addr("stomp").String(), stomp.ConnOpt.Login("guest", "guest"))
	if err != nil {
		return err
	}
	sub, err := conn.Subscribe("/amq/queue/"+queue, stomp.AckAuto)
	if err != nil {
		return err
	}
	d := <-sub.C
	if d.Err != nil {
		return d.Err
	}
	if got := d.Header.Get(wantsHeader); got != "progress" {
		return fmt.Errorf("header %q", got)
	}
	to, id := d.Header.Get("reply-to"), d.Header.Get("correlation-id")
	correlated := stomp.SendOpt.Header("correlation-id", id)
	err = conn.Send(to, "text/plain", []byte("no answer"), correlated,
		stomp.SendOpt.Header(progressHeader, "40 copying"))
	if err != nil {
		return err
	}
	<-seen
	if err := conn.Send(to, "text/plain", []byte("42"), correlated, stomp.SendOpt.Receipt); err != nil {
		return err
	}
	return conn.Disconnect()
}

func progressByLine(_ *testing.T, h *hub.Hub, queue string, seen <-chan struct{}) error {
	conn, err := net.Dial("tcp", h.Addr("line").String())
	if err != nil {
		return err
	}
	defer conn.Close()
	in, out := json.NewDecoder(conn), json.NewEncoder(conn)
	if err := out.Encode(map[string]any{"op": "serve", "id": 1, "service": queue}); err != nil {
		return err
	}
	var m struct {
		Event, Delivery string
		ReplyTo         string `json:"reply_to"`
		Headers         map[string]any
		Error           any
	}
	for m.Event != "message" {
		if err := in.Decode(&m); err != nil {
			return err
		}
		if m.Error != nil {
			return fmt.Errorf("answer %v", m.Error)
		}
	}
	if m.Headers[wantsHeader] != "progress" {
		return fmt.Errorf("headers %v", m.Headers)
	}
	err = out.Encode(map[string]any{
		"op": "send", "queue": m.ReplyTo, "persistent": false,
		"headers": map[string]any{progressHeader: "40 copying"},
	})
	if err != nil {
		return err
	}
	<-seen
	err = out.Encode(map[string]any{
		"op": "reply", "id": 2, "delivery": m.Delivery, "body": 42,
	})
	if err != nil {
		return err
	}
	return in.Decode(&m) // it is settled
}

// lineProgress reads the state of a request through the line door.
func lineProgress(t *testing.T, h *hub.Hub, id string) {
	t.Helper()
	conn, err := net.Dial("tcp", h.Addr("line").String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ask := map[string]any{"op": "result", "id": 1, "request": id, "timeout_ms": 0}
	if err := json.NewEncoder(conn).Encode(ask); err != nil {
		t.Fatal(err)
	}
	var got struct{ State, Progress string }
	if err := json.NewDecoder(conn).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if got.State != "running" || got.Progress != "40 copying" {
		t.Errorf("result %+v", got)
	}
}
