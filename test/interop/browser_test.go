// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"bytes"
	"image/png"
	"os"
	"path/filepath"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-ipc/parley/test/harness"
)

const (
	// envArtifacts names the directory for what a test leaves behind to be looked at.
	envArtifacts = "TEST_ARTIFACTS"
	// tricky is text that a page, a frame or an encoding may get wrong.
	tricky = `<b>1 < 2</b> & "größer": \ 日本語 🙂`
)

// TestBrowser: @stomp/stompjs in Chromium, on the page of examples/browser, which the hub serves
// itself. The page subscribes, sends and receives, shows what an AMQP client publishes and reaches
// one, is told what is wrong, and goes on after the hub was killed and started again.
func TestBrowser(t *testing.T) {
	t.Parallel()
	address := harness.FreeAddr(t)
	hub := startHub(t, "PARLEY_DOORS__WEBSTOMP__LISTEN="+address,
		"PARLEY_DOORS__WEBSTOMP__STATIC="+filepath.Join(harness.Root(t), "examples", "browser"))
	p := newPage(t, startBrowser(t), "http://"+address+"/")

	p.login(t, "wrong")
	p.until(t, "error", "Bad CONNECT: Access refused for user 'guest'")
	p.login(t, "guest")
	p.until(t, "state", "connected")
	p.subscribe(t, "/topic/browser.*")
	p.send(t, "/topic/browser.own", tricky)
	p.shows(t, "/topic/browser.own "+tricky)
	publishAMQP(t, hub, "browser.amqp", tricky)
	p.shows(t, "/topic/browser.amqp "+tricky)
	p.send(t, "/queue/browser", "to the queue "+tricky)
	if got := getAMQP(t, hub, "browser"); got != "to the queue "+tricky {
		t.Errorf("the AMQP client gets %q", got)
	}
	p.send(t, "/nowhere", "lost")
	p.until(t, "error", "Unknown destination: '/nowhere' is not a valid destination.\n"+
		"Valid destination types are: /temp-queue, /exchange, /topic, /queue, /amq/queue, /reply-queue/.")
	p.until(t, "state", "connected")
	p.until(t, "subscriptions", "/topic/browser.*")

	hub.Kill()
	p.until(t, "state", "connection lost")
	hub = hub.Again(t)
	p.until(t, "state", "connected")
	p.until(t, "subscriptions", "/topic/browser.*")
	publishAMQP(t, hub, "browser.again", "back")
	p.shows(t, "/topic/browser.again back")
	keep(t, "browser.png", p.screenshot(t))
	if len(p.faults) > 0 {
		t.Errorf("exceptions in the page: %q", p.faults)
	}
}

// page is examples/browser in a browser.
type page struct{ *browser }

func newPage(t *testing.T, b *browser, url string) page {
	t.Helper()
	b.open(t, url)
	p := page{b}
	p.until(t, "state", "not connected")
	return p
}

// until waits for an element to show a text.
func (p page) until(t *testing.T, element, want string) {
	t.Helper()
	p.browser.until(t, "document.getElementById('"+element+"').textContent", want)
}

func (p page) login(t *testing.T, password string) {
	t.Helper()
	p.enter(t, "#user", "guest")
	p.enter(t, "#password", password)
	p.click(t, "#login button")
}

func (p page) subscribe(t *testing.T, destination string) {
	t.Helper()
	p.enter(t, "#source", destination)
	p.click(t, "#subscribe button")
	p.until(t, "subscriptions", destination)
}

func (p page) send(t *testing.T, destination, text string) {
	t.Helper()
	p.enter(t, "#target", destination)
	p.enter(t, "#text", text)
	p.click(t, "#send button")
}

// shows waits for a message at the top of the list.
func (p page) shows(t *testing.T, want string) {
	t.Helper()
	p.browser.until(t, "[...(document.querySelector('#messages tr')?.cells ?? [])]"+
		".slice(1).map(cell => cell.textContent).join(' ')", want)
}

// publishAMQP publishes to the topic exchange.
func publishAMQP(t *testing.T, hub *harness.Hub, key, text string) {
	t.Helper()
	ch := amqpChannel(t, hub)
	err := ch.PublishWithContext(t.Context(), "amq.topic", key, false, false, amqp.Publishing{
		ContentType: "text/plain", Body: []byte(text),
	})
	if err != nil {
		t.Fatal(err)
	}
}

// getAMQP consumes one message of a queue.
func getAMQP(t *testing.T, hub *harness.Hub, queue string) string {
	t.Helper()
	ch := amqpChannel(t, hub)
	if _, err := ch.QueueDeclare(queue, true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	messages, err := ch.Consume(queue, "", true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case m := <-messages:
		return string(m.Body)
	case <-time.After(commandWait):
		t.Fatalf("nothing in %s", queue)
		return ""
	}
}

// amqpChannel opens a channel for the rest of the test.
func amqpChannel(t *testing.T, hub *harness.Hub) *amqp.Channel {
	t.Helper()
	conn, err := amqp.Dial(hub.AMQPURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // the hub may have ended
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

// keep stores a picture where it can be looked at, and reports the place.
func keep(t *testing.T, name string, picture []byte) {
	t.Helper()
	if _, err := png.Decode(bytes.NewReader(picture)); err != nil {
		t.Fatal(err)
	}
	dir := os.Getenv(envArtifacts)
	if dir == "" {
		dir = filepath.Join(harness.Root(t), "test", "artifacts") // git-ignored
	}
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, picture, 0o600); err != nil {
		t.Fatal(err)
	}
	report(t, "screenshot of the browser: "+file)
}
