// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"github.com/parley-ipc/parley/test/harness"
)

const (
	// browserWait bounds the start of a browser, and anything that a page must come to show.
	browserWait = 30 * time.Second
	// devtoolsBytes bounds what the browser says at a time; a screenshot is the largest.
	devtoolsBytes = 32 << 20
)

// A browser is a headless Chromium with one page, driven by the DevTools protocol.
type browser struct {
	conn    *websocket.Conn
	session string // the page's
	last    int    // number of the last command
	faults  []string
}

// startBrowser starts Chromium with an empty page.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command("chromium", "--headless=new", "--remote-debugging-port=0",
		"--user-data-dir="+dir, "--window-size=1000,700",
		"--no-sandbox", // which root cannot have; the page is our own
		"--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "about:blank")
	process := harness.Run(t, "chromium", cmd)
	var url string
	err := harness.Poll(browserWait, func() error {
		select {
		case <-process.Done():
			return errors.New("chromium has ended")
		default:
		}
		text, err := os.ReadFile(filepath.Join(dir, "DevToolsActivePort"))
		port, path, ok := strings.Cut(string(text), "\n")
		if err != nil || !ok {
			return fmt.Errorf("no port of DevTools (%w)", err)
		}
		url = "ws://127.0.0.1:" + port + path
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{}
	//nolint:bodyclose // the library says that it needs no closing
	if b.conn, _, err = websocket.Dial(t.Context(), url, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.conn.CloseNow() })
	b.conn.SetReadLimit(devtoolsBytes)
	var target struct{ TargetID, SessionID string }
	b.do(t, "Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	b.do(t, "Target.attachToTarget", map[string]any{
		"targetId": target.TargetID, "flatten": true,
	}, &target)
	b.session = target.SessionID
	b.do(t, "Runtime.enable", nil, nil)
	b.do(t, "Page.enable", nil, nil)
	return b
}

// answer is what the browser says: to a command, or an event.
type answer struct {
	ID     int
	Method string
	Params json.RawMessage
	Result json.RawMessage
	Error  *struct{ Message string }
}

// do gives a command and waits for its result; exceptions in the page are kept meanwhile.
func (b *browser) do(t *testing.T, method string, params map[string]any, result any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), browserWait)
	defer cancel()
	b.last++
	if params == nil {
		params = map[string]any{}
	}
	command := map[string]any{"id": b.last, "method": method, "params": params}
	if b.session != "" {
		command["sessionId"] = b.session
	}
	if err := wsjson.Write(ctx, b.conn, command); err != nil {
		t.Fatalf("%s: %v", method, err)
	}
	for {
		var a answer
		if err := wsjson.Read(ctx, b.conn, &a); err != nil {
			t.Fatalf("%s: %v", method, err)
		}
		switch {
		case a.Method == "Runtime.exceptionThrown":
			b.faults = append(b.faults, string(a.Params))
		case a.ID != b.last:
		case a.Error != nil:
			t.Fatalf("%s: %s", method, a.Error.Message)
		case result != nil:
			if err := json.Unmarshal(a.Result, result); err != nil {
				t.Fatalf("%s: %v", method, err)
			}
			return
		default:
			return
		}
	}
}

// eval returns the value of an expression in the page.
func (b *browser) eval(t *testing.T, expression string, value any) {
	t.Helper()
	var out struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	b.do(t, "Runtime.evaluate", map[string]any{
		"expression": expression, "returnByValue": true, "awaitPromise": true,
	}, &out)
	if out.ExceptionDetails != nil {
		t.Fatalf("%s: %s", expression, out.ExceptionDetails)
	}
	if err := json.Unmarshal(out.Result.Value, value); err != nil {
		t.Fatalf("%s: %q: %v", expression, out.Result.Value, err)
	}
}

// open goes to an address and waits until all of the page is there.
func (b *browser) open(t *testing.T, url string) {
	t.Helper()
	b.do(t, "Page.navigate", map[string]any{"url": url}, nil)
	b.until(t, "location.href + ' ' + document.readyState", url+" complete")
}

// until waits for an expression in the page to have a value.
func (b *browser) until(t *testing.T, expression, want string) {
	t.Helper()
	err := harness.Poll(browserWait, func() error {
		var got string
		b.eval(t, expression, &got)
		if got != want {
			return fmt.Errorf("%s is %q, want %q", expression, got, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// enter replaces the text of a field, by the keyboard as far as the page can tell.
func (b *browser) enter(t *testing.T, field, text string) {
	t.Helper()
	var found bool
	b.eval(t, fmt.Sprintf("(e => { e.focus(); e.select(); return true })(document.querySelector(%q))",
		field), &found)
	b.do(t, "Input.insertText", map[string]any{"text": text}, nil)
}

// click clicks into the middle of an element.
func (b *browser) click(t *testing.T, element string) {
	t.Helper()
	var at struct{ X, Y float64 }
	b.eval(t, fmt.Sprintf("(r => ({ x: r.x + r.width / 2, y: r.y + r.height / 2 }))"+
		"(document.querySelector(%q).getBoundingClientRect())", element), &at)
	for _, kind := range []string{"mousePressed", "mouseReleased"} {
		b.do(t, "Input.dispatchMouseEvent", map[string]any{
			"type": kind, "x": at.X, "y": at.Y, "button": "left", "clickCount": 1,
		}, nil)
	}
}

// screenshot returns the page as a PNG.
func (b *browser) screenshot(t *testing.T) []byte {
	t.Helper()
	var out struct{ Data string }
	b.do(t, "Page.captureScreenshot", map[string]any{"format": "png"}, &out)
	image, err := base64.StdEncoding.DecodeString(out.Data)
	if err != nil {
		t.Fatal(err)
	}
	return image
}
