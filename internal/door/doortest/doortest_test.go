// SPDX-License-Identifier: Apache-2.0

package doortest

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestHeart plays the scenarios between plain sessions: what fails here is wrong in the suite or in
// the heart, and in no door.
func TestHeart(t *testing.T) {
	t.Parallel()
	Run(t, Heart())
}

// TestClock: a moved clock fires what is due, once, and nothing else.
func TestClock(t *testing.T) {
	t.Parallel()
	c := NewClock()
	fired := make(chan string, 4)
	first := c.AfterFunc(time.Hour, func() { fired <- "first" })
	second := c.AfterFunc(2*time.Hour, func() { fired <- "second" })
	stopped := c.AfterFunc(time.Hour, func() { fired <- "stopped" })
	if !stopped.Stop() || stopped.Stop() {
		t.Error("Stop must succeed once")
	}
	began := c.Now()
	c.Advance(time.Hour)
	if got := <-fired; got != "first" {
		t.Errorf("%s fired", got)
	}
	if ahead := c.Now().Sub(began); ahead < time.Hour || ahead > time.Hour+Patience {
		t.Errorf("the clock moved by %v", ahead)
	}
	if first.Reset(time.Hour) {
		t.Error("a fired timer was pending")
	}
	if !second.Reset(3 * time.Hour) {
		t.Error("a timer that has not fired was not pending")
	}
	c.Advance(time.Hour)
	if got := <-fired; got != "first" {
		t.Errorf("%s fired", got)
	}
	if !second.Stop() {
		t.Error("the second timer has fired")
	}
}
