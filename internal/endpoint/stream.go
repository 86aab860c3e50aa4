// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"context"
	"errors"
	"io"
	"sync/atomic"

	"github.com/parley-ipc/parley/internal/broker"
)

// stream is an answer's body on its way to the caller. It holds the member's slot, and the call's
// credit once the caller has it.
type stream struct {
	io.ReadCloser
	p      *Pool
	r      *run
	m      *member
	cancel context.CancelCauseFunc // may be nil
	kept   bool
	broken atomic.Bool
	closed atomic.Bool
}

// keep lets the stream hold the call's credit.
func (s *stream) keep() { s.kept, s.r.streaming = true, true }

// Read reads on. A body that breaks off is a failure of its member, once.
func (s *stream) Read(b []byte) (int, error) {
	n, err := s.ReadCloser.Read(b)
	if err != nil && !errors.Is(err, io.EOF) && !s.closed.Load() && !s.broken.Swap(true) {
		s.m.window.Add(firstOne + 1)
	}
	return n, err
}

// Trailer implements broker.Trailer.
func (s *stream) Trailer() map[string][]string {
	if t, ok := s.ReadCloser.(broker.Trailer); ok {
		return t.Trailer()
	}
	return nil
}

// Write writes to a member that has switched protocols.
func (s *stream) Write(b []byte) (int, error) {
	if w, ok := s.ReadCloser.(io.Writer); ok {
		return w.Write(b)
	}
	return 0, errOneWay
}

var errOneWay = errors.New("the answer goes one way")

// Close ends the answer and gives back what it holds.
func (s *stream) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	err := s.ReadCloser.Close()
	if s.cancel != nil {
		s.cancel(nil)
	}
	s.m.streams.Add(-1)
	s.p.quit(s.m)
	if s.kept {
		s.p.giveBack()
	}
	s.p.wake()
	return err
}

// orphan closes an answer that the caller does not get.
func (s *stream) orphan() {
	if err := s.Close(); err != nil {
		s.p.options.Logger.Debug("answer not closed", "service", s.p.options.Service, "error", err)
	}
}
