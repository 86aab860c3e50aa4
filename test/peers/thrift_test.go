// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"go.uber.org/goleak"
)

// TestMain checks that no goroutine outlives the tests.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestThriftAlone holds the Thrift client against the Thrift server, with no hub between them.
func TestThriftAlone(t *testing.T) {
	t.Parallel()
	told := make(chan string, 1)
	s, err := startThrift(t.Context(), func(_ context.Context, r Request) Reply {
		switch r.Body {
		case "fail":
			return Reply{Body: "cannot", Error: "exception"}
		case "break":
			return Reply{Body: "broken", Error: "internal"}
		case "told":
			told <- r.Body
		}
		return Reply{Body: "hello " + r.Body}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.stop)
	c := &thriftPeer{addr: s.Addr().String(), all: map[*thriftConn]struct{}{}}
	t.Cleanup(c.end)
	for i := range 3 {
		who := fmt.Sprint("anna ", i)
		answer, err := c.Call(t.Context(), "", who, closeWait)
		if err != nil || answer != "hello "+who {
			t.Errorf("%q, %v", answer, err)
		}
	}
	wantFailure(t, c, "fail", Failure{Form: FormDeclared, Code: "exception", Body: "cannot"})
	wantFailure(t, c, "break", Failure{
		Form: FormApplication, Code: "Internal error processing do", Body: "broken",
	})
	if err := c.Send(t.Context(), "", "told"); err != nil {
		t.Error(err)
	}
	if err := c.Publish(t.Context(), "", "news"); err != nil {
		t.Error(err)
	}
	<-told
	if _, err := c.Ask(t.Context(), "", "later"); err == nil {
		t.Error("a server of its own has a method ask")
	}
	if n := len(c.all); n != 1 {
		t.Errorf("%d connections for one call at a time", n)
	}
}

func wantFailure(t *testing.T, c *thriftPeer, body string, want Failure) {
	t.Helper()
	_, err := c.Call(t.Context(), "", body, closeWait)
	got, ok := errors.AsType[*Failure](err)
	if !ok || *got != want {
		t.Errorf("%s: %v, want %v", body, err, &want)
	}
}
