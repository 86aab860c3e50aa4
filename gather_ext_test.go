// SPDX-License-Identifier: Apache-2.0

package parley_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/parley-ipc/parley"
)

// quotes starts instances of a service that answer their own number; those in silent never do.
func quotes(t *testing.T, url string, names []string, silent ...string) parley.Op[string, int] {
	t.Helper()
	op := parley.NewOp[string, int]("quote.Price")
	release := make(chan struct{})
	for i, name := range names {
		run(t, url, name, func(s *parley.Service) {
			op.Handle(s, func(_ context.Context, in string) (int, error) {
				switch {
				case slices.Contains(silent, name):
					<-release
				case in == "fail "+name:
					return 0, errors.New("broken")
				}
				return i, nil
			})
		})
	}
	t.Cleanup(func() { close(release) }) // before the services stop
	return op
}

func TestGatherTakesEveryAnswer(t *testing.T) {
	t.Parallel()
	url := startHub(t)
	op := quotes(t, url, []string{"a", "b", "c"})
	got := map[string]int{}
	for r, err := range op.Gather(within(t), dial(t, url), "x", parley.Until{All: true}) {
		if err != nil {
			t.Fatal(err)
		}
		got[r.From] = r.Value
	}
	if len(got) != 3 || got["a"] != 0 || got["b"] != 1 || got["c"] != 2 {
		t.Errorf("answers = %v", got)
	}
}

func TestGatherEndsAtItsRule(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		name    string
		until   parley.Until
		replies int
		missing []string // nil: complete
	}{
		{"enough answers", parley.Until{Replies: 2}, 2, nil},
		{"total time", parley.Until{All: true, Total: 1500 * time.Millisecond}, 2, []string{"mute"}},
		{"silence", parley.Until{All: true, Gap: 700 * time.Millisecond}, 2, []string{"mute"}},
		{
			"all with a number",
			parley.Until{All: true, Replies: 1, Total: 1500 * time.Millisecond},
			2,
			[]string{"mute"},
		},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			url := startHub(t)
			op := quotes(t, url, []string{"a", "b", "mute"}, "mute")
			replies := 0
			var last error
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			for _, err := range op.Gather(ctx, dial(t, url), "x", tc.until) {
				if last = err; err == nil {
					replies++
				}
			}
			if replies != tc.replies {
				t.Errorf("%d answers, want %d", replies, tc.replies)
			}
			var incomplete *parley.Incomplete
			if errors.As(last, &incomplete) != (tc.missing != nil) {
				t.Fatalf("last error = %v", last)
			}
			if incomplete != nil && !slices.Equal(incomplete.Missing, tc.missing) {
				t.Errorf("missing = %v, want %v", incomplete.Missing, tc.missing)
			}
		})
	}
}

func TestGatherEndsAtASentinel(t *testing.T) {
	t.Parallel()
	url := startHub(t)
	op := parley.NewOp[string, string]("quote.Price")
	release := make(chan struct{})
	for name, answer := range map[string]func() (string, error){
		"fails": func() (string, error) { return "", errors.New("") },
		"last":  func() (string, error) { <-release; return "", nil },
		"mute":  func() (string, error) { <-t.Context().Done(); return "", t.Context().Err() },
	} {
		run(t, url, name, func(s *parley.Service) {
			op.Handle(s, func(context.Context, string) (string, error) { return answer() })
		})
	}
	var from []string
	for r, err := range op.Gather(within(t), dial(t, url), "x", parley.Until{Replies: 3, Sentinel: true}) {
		if !errors.Is(err, parley.CodeException) {
			t.Errorf("%q, %v", r.Value, err)
		}
		from = append(from, r.From)
		close(release)
	}
	if !slices.Equal(from, []string{"fails"}) {
		t.Errorf("answers of %q", from)
	}
}

func TestGatherYieldsErrorsOfInstances(t *testing.T) {
	t.Parallel()
	url := startHub(t)
	op := quotes(t, url, []string{"a", "b"})
	failed, fine := "", ""
	for r, err := range op.Gather(within(t), dial(t, url), "fail a", parley.Until{}) {
		switch {
		case errors.Is(err, parley.CodeException):
			failed = r.From
		case err != nil:
			t.Fatal(err)
		default:
			fine = r.From
		}
	}
	if failed != "a" || fine != "b" {
		t.Errorf("failed = %q, fine = %q", failed, fine)
	}
}

func TestGatherWithNobodyToAsk(t *testing.T) {
	t.Parallel()
	url := startHub(t)
	if err := run(t, url, "quote", func(s *parley.Service) { // declares the queue
		parley.NewOp[string, int]("quote").Handle(s,
			func(context.Context, string) (int, error) { return 0, nil })
	})(); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, err := range parley.NewOp[string, int]("quote.Price").Gather(
		within(t), dial(t, url), "x", parley.Until{All: true}) {
		n++
		if !errors.Is(err, parley.CodeNoInstance) {
			t.Errorf("err = %v, want %s", err, parley.CodeNoInstance)
		}
	}
	if n != 1 {
		t.Errorf("the loop ran %d times, want once with the error", n)
	}
}

func TestLeavingAGatherLeavesTheConnectionFit(t *testing.T) {
	t.Parallel()
	url := startHub(t)
	op := quotes(t, url, []string{"a", "b", "c"})
	c := dial(t, url)
	for _, err := range op.Gather(within(t), c, "x", parley.Until{All: true}) {
		if err != nil {
			t.Error(err)
		}
		break
	}
	if _, err := op.Call(within(t), c, "x"); err != nil {
		t.Fatalf("call after a gather that was left: %v", err)
	}
}

// An instance that gives up when its deadline passes is missing: its error must not come before the
// hub's word. The same holds for a call.
func TestDeadlineIsTheHubsToTell(t *testing.T) {
	t.Parallel()
	url := startHub(t)
	op := parley.NewOp[string, int]("giver.Up")
	run(t, url, "giver", func(s *parley.Service) {
		op.Handle(s, func(ctx context.Context, _ string) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		})
	})
	c := dial(t, url)
	const rounds, total = 30, 20 * time.Millisecond
	for range rounds {
		var last error
		for _, err := range op.Gather(within(t), c, "x", parley.Until{Total: total}) {
			if last != nil {
				t.Fatalf("%v, then %v", last, err)
			}
			last = err
		}
		incomplete, ok := errors.AsType[*parley.Incomplete](last)
		if !ok || !slices.Equal(incomplete.Missing, []string{"giver"}) {
			t.Fatalf("the gather ended with %v", last)
		}
		ctx, cancel := context.WithTimeout(t.Context(), total)
		_, err := op.Call(ctx, c, "x")
		cancel()
		if !errors.Is(err, parley.CodeDeadline) {
			t.Fatalf("the call ended with %v", err)
		}
	}
}
