// SPDX-License-Identifier: Apache-2.0

package resilience

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-ipc/parley/test/harness"
	"github.com/parley-ipc/parley/test/peers"
)

// TestMain checks that no goroutine outlives the tests.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	// service is the name of every test's service.
	service = "svc"
	// wait bounds what should happen soon.
	wait = 20 * time.Second
	// callWait is how long a call may take.
	callWait = 5 * time.Second
	// usual is how long servers take when they are well, in ms.
	usual = 10
)

// behaviour and seen are those of the command server.
type behaviour struct {
	DelayMS    int
	Status     int
	RetryAfter int
	Hang       bool
	SlowEvery  int
	Ill        bool
}

type seen struct {
	Calls, Canceled, InFlight, Most, Repeated int
	Shortest, Longest                         int
}

// fleet is a hub with a service and its servers.
type fleet struct {
	t       *testing.T
	hub     *harness.Hub
	binary  string
	client  *http.Client
	servers []*server
}

// server is one process.
type server struct {
	f       *fleet
	process *harness.Lines
	id      string
	address string
}

// launch starts a hub and n servers, which it attaches. config is the hub's file, "" for none.
func launch(t *testing.T, n int, config string, env ...string) *fleet {
	t.Helper()
	return launchOn(t, n, config, harness.Build(t), harness.Options{Env: env})
}

// launchOn does so with a hub of its own making.
func launchOn(t *testing.T, n int, config, hub string, o harness.Options) *fleet {
	t.Helper()
	if config != "" {
		file := filepath.Join(t.TempDir(), "parley.yaml")
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		o.Args = append(o.Args, "--config", file)
	}
	f := &fleet{
		t: t, hub: harness.Start(t, hub, o),
		binary: harness.BuildHelper(t, "resilience/server"),
		client: &http.Client{Timeout: wait, Transport: &http.Transport{}},
	}
	t.Cleanup(f.client.CloseIdleConnections)
	for i := range n {
		s := &server{f: f, id: fmt.Sprintf("s%d", i)}
		f.servers = append(f.servers, s)
		s.start("127.0.0.1:0")
		s.attach()
		s.behave(behaviour{DelayMS: usual})
	}
	return f
}

// start runs the process.
func (s *server) start(listen string) {
	s.f.t.Helper()
	s.process = harness.RunLines(s.f.t, "server "+s.id, exec.Command(s.f.binary, "-listen", listen))
	s.address = s.process.Line(s.f.t)
}

// attach makes it an instance of the service.
func (s *server) attach() {
	s.f.t.Helper()
	s.f.do("PUT", s.f.hub.URL("/v1/services/"+service+"/instances/"+s.id),
		map[string]string{"url": "http://" + s.address}, nil)
}

// behave changes what it does.
func (s *server) behave(b behaviour) {
	s.f.t.Helper()
	s.f.do("PUT", "http://"+s.address+"/-/behave", b, nil)
}

// seen returns what came.
func (s *server) seen() (was seen) {
	s.f.t.Helper()
	s.f.do("GET", "http://"+s.address+"/-/seen", nil, &was)
	return was
}

// do makes a request that has to succeed.
func (f *fleet) do(method, url string, in, out any) {
	f.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		f.t.Fatal(err)
	}
	r, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := f.client.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode >= http.StatusBadRequest {
		f.t.Fatalf("%s %s: %d %s, %v", method, url, answer.StatusCode, text, err)
	}
	if out != nil {
		if err := json.Unmarshal(text, out); err != nil {
			f.t.Fatalf("%s %s: %s: %v", method, url, text, err)
		}
	}
}

// serviceStatus is what the hub says of a service.
type serviceStatus struct {
	InFlight  int `json:"in_flight"`
	Waiting   int `json:"waiting"`
	Instances []struct {
		ID       string `json:"id"`
		InFlight int    `json:"in_flight"`
	} `json:"instances"`
}

// services asks the hub for all of them.
func (f *fleet) services() []serviceStatus {
	f.t.Helper()
	var list struct {
		Services []serviceStatus `json:"services"`
	}
	f.do("GET", f.hub.URL("/v1/services"), nil, &list)
	return list.Services
}

// inFlight is how many calls the hub has at a server.
func (f *fleet) inFlight(s *server) int {
	f.t.Helper()
	sum, known := 0, false
	for _, one := range f.services() {
		for _, i := range one.Instances {
			if i.ID == s.id {
				sum, known = sum+i.InFlight, true
			}
		}
	}
	if !known {
		f.t.Fatalf("the hub knows no server %s", s.id)
	}
	return sum
}

// eventually waits until something holds.
func (f *fleet) eventually(what string, holds func() bool) {
	f.t.Helper()
	err := harness.Poll(wait, func() error {
		if !holds() {
			return errNotYet
		}
		return nil
	})
	if err != nil {
		f.t.Errorf("%s: not within %v", what, wait)
	}
}

var errNotYet = errors.New("not yet")

// outcome is what one call came to.
type outcome struct {
	took time.Duration
	code string // "" is success
}

// traffic is callers of every protocol in loops.
type traffic struct {
	t      *testing.T
	stop   context.CancelFunc
	all    sync.WaitGroup
	mu     sync.Mutex
	byDoor map[string][]outcome
}

// drive lets so many callers of each protocol call one after the other, until end.
func (f *fleet) drive(callers int, method string, limit time.Duration) *traffic {
	f.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	d := &traffic{t: f.t, stop: stop, byDoor: make(map[string][]outcome)}
	f.t.Cleanup(stop)
	for _, protocol := range peers.Protocols() {
		for range callers {
			peer, err := protocol.Dial(ctx, f.hub)
			if err != nil {
				f.t.Fatalf("%s: %v", protocol.Name, err)
			}
			d.all.Go(func() {
				defer peer.Close()
				for ctx.Err() == nil {
					d.call(ctx, protocol.Name, peer, callOptions{method, limit})
				}
			})
		}
	}
	return d
}

type callOptions struct {
	method string
	limit  time.Duration
}

func (d *traffic) call(ctx context.Context, door string, p peers.Peer, o callOptions) {
	// A call that has begun ends, so that the last ones count.
	ctx, cancel := context.WithTimeout(peers.WithMethod(context.WithoutCancel(ctx), o.method), wait)
	defer cancel()
	begin := time.Now()
	answer, err := p.Call(ctx, service, "x", o.limit)
	one := outcome{took: time.Since(begin), code: codeOf(err)}
	if err == nil && answer != "x" {
		one.code = "wrong answer " + answer
	}
	d.mu.Lock()
	d.byDoor[door] = append(d.byDoor[door], one)
	d.mu.Unlock()
	if one.code != "" {
		time.Sleep(usual * time.Millisecond) // a refusal is no reason to call faster than service does
	}
}

// codeOf returns the code of a failed call, or its status where a server has given that.
func codeOf(err error) string {
	f, ok := errors.AsType[*peers.Failure](err)
	switch {
	case err == nil:
		return ""
	case !ok:
		return err.Error()
	case f.Code == "" || f.Code == "exception":
		return "exception"
	}
	return f.Code
}

// well reports whether the last call through every door succeeded.
func (d *traffic) well() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, list := range d.byDoor {
		if list[len(list)-1].code != "" {
			return false
		}
	}
	return len(d.byDoor) == len(peers.Protocols())
}

// during lets the traffic run for a while.
func (d *traffic) during(lasting time.Duration) { time.Sleep(lasting) }

// end stops the callers and returns what they saw.
func (d *traffic) end() *report {
	d.t.Helper()
	d.stop()
	d.all.Wait()
	r := &report{codes: map[string]int{}, doors: d.byDoor}
	for door, list := range d.byDoor {
		ok := 0
		for _, o := range list {
			r.calls++
			r.took = append(r.took, o.took)
			if o.code == "" {
				ok++
			} else {
				r.failed++
				r.codes[o.code]++
			}
		}
		if ok == 0 {
			d.t.Errorf("%s: none of %d calls succeeded", door, len(list))
		}
	}
	slices.Sort(r.took)
	d.t.Logf("%d calls, %d failed %v, p50 %v, p99 %v, longest %v", r.calls, r.failed, r.codes, r.p(50),
		r.p(99), r.p(100))
	return r
}

// report is what traffic saw.
type report struct {
	calls, failed int
	codes         map[string]int
	took          []time.Duration
	doors         map[string][]outcome
}

func (r *report) p(percentile int) time.Duration {
	if len(r.took) == 0 {
		return 0
	}
	return r.took[min(len(r.took)-1, len(r.took)*percentile/100)]
}

// only checks that calls failed in no other way.
func (r *report) only(t *testing.T, codes ...string) {
	t.Helper()
	for code := range r.codes {
		if !slices.Contains(codes, code) {
			t.Errorf("%d calls failed with %q, want only %s", r.codes[code], code,
				strings.Join(codes, ", "))
		}
	}
}
