// SPDX-License-Identifier: Apache-2.0

package parley_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/parley-ipc/parley"
)

// A handler reports its progress to who calls, to who waits for a kept answer, and to nobody else.
func TestReportProgress(t *testing.T) {
	t.Parallel()
	url := startHub(t)
	op := parley.NewOp[string, string]("svc.Op")
	proceed := make(chan struct{})
	var ran atomic.Int32
	run(t, url, "svc", func(s *parley.Service) {
		op.Handle(s, func(ctx context.Context, in string) (string, error) {
			p := parley.Progress{Percent: 40, Text: "copying"}
			for range 2 { // the second comes too soon
				if err := parley.ReportProgress(ctx, p); err != nil {
					t.Error(err)
				}
				p.Percent = 50
			}
			ran.Add(1)
			<-proceed
			return in + "!", nil
		})
	})
	c := dial(t, url)
	told := make(chan parley.Progress, 10)
	done := make(chan error, 1)
	var answer string
	go func() {
		var err error
		answer, err = op.Call(within(t), c, "x", parley.OnProgress(func(p parley.Progress) {
			told <- p
		}))
		done <- err
	}()
	want := parley.Progress{Percent: 40, Text: "copying"}
	if got := receive(t, told); got != want {
		t.Errorf("told %+v", got)
	}
	proceed <- struct{}{}
	if err := receive(t, done); err != nil || answer != "x!" {
		t.Errorf("answer %q, %v", answer, err)
	}

	pending, err := op.Start(within(t), c, "y")
	if err != nil {
		t.Fatal(err)
	}
	later := parley.Resume[string](c, pending.ID).OnProgress(func(p parley.Progress) {
		told <- p
		proceed <- struct{}{}
	})
	if answer, err = later.Wait(within(t)); err != nil || answer != "y!" {
		t.Errorf("answer %q, %v", answer, err)
	}
	if got := receive(t, told); got != want {
		t.Errorf("told %+v", got)
	}

	close(proceed)
	if answer, err = op.Call(within(t), c, "z"); err != nil || answer != "z!" {
		t.Errorf("answer %q, %v", answer, err)
	}
	if err := op.Send(within(t), c, "nobody waits"); err != nil {
		t.Fatal(err)
	}
	for ran.Load() < 4 {
		waitConsumers(t, c, "svc", 1)
	}
	if len(told) > 0 {
		t.Errorf("told %+v", <-told)
	}
	if err := parley.ReportProgress(t.Context(), want); err != nil {
		t.Errorf("outside of a handler: %v", err)
	}
}

func TestProgressString(t *testing.T) {
	t.Parallel()
	var got []string
	for _, p := range []parley.Progress{
		{Percent: 40, Text: "copying"},
		{Percent: 0},
		{Percent: -1, Text: "starts"},
		{Percent: 200, Text: "ends"},
	} {
		got = append(got, p.String())
	}
	if want := []string{"40 copying", "0", "starts", "100 ends"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
