// SPDX-License-Identifier: Apache-2.0

// Command server is an HTTP service whose behaviour a test changes while it runs:
// PUT /-/behave takes a Behaviour as JSON, GET /-/seen tells what came, GET /healthz
// whether it is well. Every other path is the service. Its first line says where it listens.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Behaviour is what the service does with a request.
type Behaviour struct {
	DelayMS int
	// Status of the answers; 0 is 200.
	Status int
	// RetryAfter in seconds goes with it.
	RetryAfter int
	// Hang answers nothing.
	Hang bool
	// SlowEvery says that each so many-th request takes twenty times as long.
	SlowEvery int
	// Ill is what its health check finds.
	Ill bool
}

// Seen counts requests.
type Seen struct {
	Calls, Canceled, InFlight, Most, Repeated int
	// Shortest and Longest are the times that requests said they have, in ms.
	Shortest, Longest int
}

type server struct {
	mu   sync.Mutex
	do   Behaviour
	seen Seen
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address")
	flag.Parse()
	if err := run(*listen); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(listen string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
	if err != nil {
		return err
	}
	s := &server{}
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /-/behave", s.behave)
	mux.HandleFunc("GET /-/seen", s.tell)
	mux.HandleFunc("GET /healthz", s.health)
	mux.HandleFunc("/", s.serve)
	h := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() {
		<-ctx.Done()
		_ = h.Close()
	}()
	fmt.Fprintln(os.Stdout, l.Addr())
	if err := h.Serve(l); ctx.Err() == nil {
		return err
	}
	return nil
}

func (s *server) behave(w http.ResponseWriter, r *http.Request) {
	var b Behaviour
	if err := json.NewDecoder(r.Body).Decode(&b); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.do = b
	s.mu.Unlock()
}

func (s *server) tell(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = json.NewEncoder(w).Encode(s.seen)
}

func (s *server) health(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.do.Ill {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

// begin counts a request and says what to do with it.
func (s *server) begin(r *http.Request) Behaviour {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen.Calls++
	s.seen.InFlight++
	s.seen.Most = max(s.seen.Most, s.seen.InFlight)
	if r.Header.Get("Parley-Attempt") != "" {
		s.seen.Repeated++
	}
	if ms, err := strconv.Atoi(r.Header.Get("Connect-Timeout-Ms")); err == nil {
		s.seen.Longest = max(s.seen.Longest, ms)
		if s.seen.Shortest == 0 || ms < s.seen.Shortest {
			s.seen.Shortest = ms
		}
	}
	do := s.do
	if do.SlowEvery > 0 && s.seen.Calls%do.SlowEvery == 0 {
		const slower = 20
		do.DelayMS *= slower
	}
	return do
}

func (s *server) end(r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen.InFlight--
	if r.Context().Err() != nil {
		s.seen.Canceled++
	}
}

func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	do := s.begin(r)
	defer s.end(r)
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if do.Hang {
		<-r.Context().Done()
		return
	}
	select {
	case <-time.After(time.Duration(do.DelayMS) * time.Millisecond):
	case <-r.Context().Done():
		return
	}
	if do.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(do.RetryAfter))
	}
	w.Header().Set("Content-Type", "text/plain")
	if do.Status > 0 {
		w.WriteHeader(do.Status)
	}
	_, _ = w.Write(body)
}
