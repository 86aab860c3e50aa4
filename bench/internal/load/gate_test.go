// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

func TestGateHoldsBackAtTheWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(10)
		room, err := g.wait(t.Context(), 4, 6)
		if err != nil || room != 6 {
			t.Fatalf("wait = %d, %v with 4 of 10 ahead", room, err)
		}
		passed := make(chan uint64)
		go func() {
			room, err := g.wait(t.Context(), 10, 5)
			if err != nil {
				t.Error(err)
			}
			passed <- room
		}()
		synctest.Wait()
		g.advance(4) // room for 4, and 5 are wanted
		synctest.Wait()
		select {
		case room := <-passed:
			t.Fatalf("passed with room for %d", room)
		default:
		}
		g.advance(7)
		if room := <-passed; room != 7 {
			t.Errorf("passed with room for %d, want 7", room)
		}
	})
}

func TestGateEndsWithItsContext(t *testing.T) {
	t.Parallel()
	why := errors.New("over")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if _, err := newGate(1).wait(ctx, 1, 1); !errors.Is(err, why) {
		t.Errorf("wait = %v, want the cause", err)
	}
}
