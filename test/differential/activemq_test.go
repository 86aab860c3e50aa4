// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/go-stomp/stomp/v3/frame"

	"github.com/parley-ipc/parley/test/harness"
)

// activeDifference is a step at which parley's clients of ActiveMQ see something else.
type activeDifference struct {
	step, parley, why string
}

// activeAllowed is the table of these differences.
func activeAllowed() []activeDifference {
	return []activeDifference{
		{
			"errors: keepalive", "RECEIPT receipt-id:taken",
			"older clients send the word for a line break",
		},
		{
			"errors: unknown ack", "ERROR message:Unexpected ACK received for message-id [1]",
			"the id in question instead of null",
		},
		{
			"errors: selector", "ERROR message:Invalid selector",
			"the body says where the mistake is, as in the other dialect",
		},
		{"errors: expires", "ERROR message:Invalid expires header: x", "ActiveMQ closes in silence"},
		{
			"errors: no such kind", "ERROR message:Illegal destination name: [/foo/bar] -- ActiveMQ STOMP " +
				"destinations must begin with one of: /queue/ /topic/ /temp-queue/ /temp-topic/",
			"a mistyped prefix is told, instead of a queue /foo/bar; ActiveMQ has the text and does not use it",
		},
		{
			"errors: no name", "ERROR message:Illegal destination name: [/queue/] -- ActiveMQ STOMP " +
				"destinations must begin with one of: /queue/ /topic/ /temp-queue/ /temp-topic/",
			"ActiveMQ closes in silence",
		},
		{
			"errors: browser of a topic", "ERROR message:Queue Browser feature only valid for one queue!",
			"instead of an exception of Java's",
		},
		{
			"errors: durable without client-id",
			"ERROR message:Invalid Subscription: a durable one needs a client-id in CONNECT! receipt-id:r",
			"nobody could come back to it",
		},
		{
			"send: text by type",
			"MESSAGE amq-msg-type:text destination:/queue/active.send expires:0 message-id:ID priority:4 " +
				"subscription:1 timestamp:T body=\"typed\"",
			"text has no length, however it was sent",
		},
		{
			"nack: transient dead letter",
			"MESSAGE ack:ID destination:/queue/ActiveMQ.DLQ expires:0 message-id:ID " +
				"original-destination:/queue/active.nack.1.2 own:2 priority:4 subscription:dead timestamp:T " +
				"body=\"transient\"",
			"ActiveMQ drops what is not persistent; a client that refuses a message wants it kept",
		},
		{
			"nack: dead letter of a topic",
			"MESSAGE ack:ID destination:/queue/ActiveMQ.DLQ expires:0 message-id:ID " +
				"original-destination:/topic/active.nack own:3 persistent:true priority:4 subscription:dead " +
				"timestamp:T body=\"topic\"",
			"ActiveMQ drops what came by a topic",
		},
		{
			"temp: to a queue that is gone", "RECEIPT receipt-id:r",
			"an ERROR would close the connection of a service whose client has gone",
		},
		{"temp: to a topic that is gone", "RECEIPT receipt-id:r", "likewise"},
		{"prefetch: none", "MESSAGE ack:ID destination:/queue/active.prefetch.none expires:0 " +
			"message-id:ID persistent:true priority:4 subscription:1 timestamp:T body=\"1\"", "with ActiveMQ the client waits for ever"},
		{
			"durable: same client", "CONNECTED heart-beat:0,0 session:NAME version:1.2",
			"a client-id names durable subscriptions, of which each is open once; a client that lost its " +
				"connection can come back before the hub has noticed",
		},
	}
}

// activeNoise is what differs from run to run or is the same decision everywhere.
var activeNoise = []struct {
	pattern *regexp.Regexp
	by      string
}{
	{regexp.MustCompile(`message-id:ID\S+`), "message-id:ID"},
	{regexp.MustCompile(` ack:\S+`), " ack:ID"},
	{regexp.MustCompile(`timestamp:1[0-9]{12}`), "timestamp:T"},
	// ActiveMQ's body is a stack of Java; the hub's header version is STOMP's advice.
	{regexp.MustCompile(`^(ERROR .*?)( body="(?s:.*)")$`), "$1"},
	{regexp.MustCompile(`^ERROR (content-length:\d+ )?content-type:text/plain `), "ERROR "},
	{regexp.MustCompile(`^(ERROR .*) version:1\.0,1\.1,1\.2`), "$1"},
	// How AMQP tells where a dead letter was, and ActiveMQ when it would have expired.
	{regexp.MustCompile(` (x-(first|last)-death-\w+|originalExpiration):\S*`), ""},
	// The hub passes on what makes a group; ActiveMQ does not show it.
	{regexp.MustCompile(` JMSXGroup(ID|Seq):\S*`), ""},
	// What a list of destinations looked like.
	{regexp.MustCompile(` original-destination:\S*,\S*`), ""},
}

// activeText returns an observation without the noise.
func activeText(saw string) string {
	for _, n := range activeNoise {
		saw = n.pattern.ReplaceAllString(saw, n.by)
	}
	return saw
}

// TestActiveMQ runs scripts of ActiveMQ's dialect on Debian's ActiveMQ and on a hub with a door for its
// clients. The two must see the same but for activeAllowed.
func TestActiveMQ(t *testing.T) {
	t.Parallel()
	if os.Getenv(envOn) == "" {
		t.Skipf("needs Debian's activemq: run `make interop`, or set %s=1", envOn)
	}
	if !harness.HaveActiveMQ() {
		t.Fatal("activemq is not installed")
	}
	hub := harness.Start(t, harness.Build(t), harness.Options{
		Env: []string{"PARLEY_DOORS__STOMP__DIALECT=activemq"},
	})
	oracle := harness.StartActiveMQ(t)
	mine := &harness.Broker{Name: "parley", STOMP: hub.STOMP}
	allowed := map[string]activeDifference{}
	for _, d := range activeAllowed() {
		allowed[d.step] = d
	}
	t.Run("scripts", func(t *testing.T) {
		for _, s := range activeScripts() {
			t.Run(s.name, func(t *testing.T) { compareActive(t, s, [2]*harness.Broker{oracle, mine}, allowed) })
		}
	})
	for step, d := range allowed {
		if !t.Failed() {
			t.Errorf("no difference at %q any more: %s", step, d.why)
		}
	}
}

// compareActive runs one script on both and takes the differences that it saw out of the table.
func compareActive(
	t *testing.T, s stompScript, on [2]*harness.Broker, allowed map[string]activeDifference,
) {
	t.Helper()
	var saw [2][]note
	for i, b := range on {
		done := make(chan struct{})
		go func() { // a script that cannot go on ends its goroutine
			defer close(done)
			saw[i] = runSTOMP(t, s, b)
		}()
		<-done
	}
	if len(saw[0]) == 0 || len(saw[0]) != len(saw[1]) {
		t.Fatalf("%d steps with %s, %d with %s", len(saw[0]), on[0].Name, len(saw[1]), on[1].Name)
	}
	for i := range saw[0] {
		key := s.name + ": " + saw[0][i].step
		want, have := activeText(saw[0][i].saw), activeText(saw[1][i].saw)
		if testing.Verbose() {
			t.Logf("%s: %s", saw[0][i].step, want)
		}
		d, differs := allowed[key]
		delete(allowed, key)
		switch {
		case differs && (have != d.parley || have == want):
			t.Errorf("%s:\n  ActiveMQ: %s\n  parley:   %s\n  allowed:  %s", key, want, have, d.parley)
		case !differs && want != have:
			t.Errorf("%s:\n  ActiveMQ: %s\n  parley:   %s", key, want, have)
		}
	}
}

// text is send without a length, as clients of ActiveMQ send text, and without escapes, which STOMP 1.0
// does not have and no header here needs.
func (p *peer) text(command, body string, headers ...string) {
	var b strings.Builder
	b.WriteString(command + "\n")
	for i := 0; i < len(headers); i += 2 {
		b.WriteString(headers[i] + ":" + headers[i+1] + "\n")
	}
	p.bytes(b.String() + "\n" + body + "\x00")
}

// late notes what comes with one of the two, and takes long enough to come with the other too if it
// did.
func (p *peer) late(step string) {
	const long = 8 * silence
	select {
	case f := <-p.frames:
		p.r.add(step, "%s", frameText(f))
	case <-after(long):
		p.r.add(step, "silence")
	}
}

// soon returns the next frame, or nil when none comes.
func (p *peer) soon() *frame.Frame {
	select {
	case f := <-p.frames:
		return f
	case <-after(silence):
		return nil
	}
}

// receipt sends a frame and waits for its RECEIPT.
func (p *peer) receipt(command string, headers ...string) {
	p.text(command, "", append(headers, "receipt", "r")...)
	for {
		if f := p.next(); f == nil || f.Command == frame.RECEIPT {
			return
		}
	}
}

// loadText sends persistent text to a destination, and returns when it is there.
func (p *peer) loadText(destination string, bodies ...string) {
	for _, body := range bodies {
		p.text(frame.SEND, body, "destination", destination, "persistent", "true", "receipt", "r")
		p.next()
	}
}

// lastPart returns what stands before the last slash.
func lastPart(destination string) string {
	return destination[:strings.LastIndexByte(destination, '/')+1]
}
