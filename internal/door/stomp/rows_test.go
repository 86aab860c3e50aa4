// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	wire "github.com/parley-ipc/parley/internal/wire/stomp"
)

// row is a requirement of the specification: TestRows has one test for each, of its name, in each
// version. docs/stomp.md shows the table; TestRowsPage writes it.
type row struct {
	name string
	// does says what a client of 1.0, 1.1 and 1.2 gets; what is empty is as the one before.
	does [3]string
	run  func(p *place)
}

// place is where a row is tried: a hub, a version and a queue of its own.
type place struct {
	t       *testing.T
	hub     *hub
	version wire.Version
	queue   string
}

// rows is the one table, in the order of the checklist.
func rows() []row { return append(frameRows(), conversationRows()...) }

// rowName is the name of a row's test.
func rowName(i int, r row) string {
	return fmt.Sprintf("row_%02d_%s", i+1, strings.ReplaceAll(r.name, " ", "_"))
}

// TestRows: each row of the checklist, octet by octet, in each version.
func TestRows(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	for i, r := range rows() {
		for _, v := range versions() {
			t.Run(rowName(i, r)+"/"+v.String(), func(t *testing.T) {
				t.Parallel()
				r.run(&place{t: t, hub: h, version: v, queue: fmt.Sprintf("/queue/row.%d.%v", i+1, v)})
			})
		}
	}
}

// by chooses what is right for the version.
func (p *place) by(v10, v11, v12 string) string {
	return [...]string{v10, v11, v12}[p.version-wire.V10]
}

// login opens a connection of the version.
func (p *place) login() *raw {
	p.t.Helper()
	return p.hub.rawLogin(p.t, p.version)
}

// subscribed opens a connection of the version that gets what comes to the queue.
func (p *place) subscribed() *raw {
	p.t.Helper()
	c := p.login()
	c.done("SUBSCRIBE\nid:s\ndestination:" + p.queue)
	return c
}

// watch opens a connection of 1.2, which shows each octet of a header that the hub has read.
func (p *place) watch() *raw {
	p.t.Helper()
	c := p.hub.rawLogin(p.t, wire.V12)
	c.done("SUBSCRIBE\nid:w\ndestination:" + p.queue)
	return c
}

// sent is a SEND to the queue with such headers, each with its LF, and a body.
func (p *place) sent(headers, body string) string {
	return "SEND\ndestination:" + p.queue + "\n" + headers + "\n" + body + "\x00"
}

// settle is an ACK or NACK of a MESSAGE, which names it in the octets in which it came.
func (p *place) settle(command, message string) string {
	if p.version == wire.V12 {
		return command + "\nid:" + headerIn(message, "ack")
	}
	frame := command + "\nmessage-id:" + headerIn(message, "message-id")
	if p.version == wire.V11 {
		frame += "\nsubscription:" + headerIn(message, "subscription")
	}
	return frame
}

// left returns the bodies that the queue still has, read by a connection of its own.
func (p *place) left() []string {
	p.t.Helper()
	c := p.hub.rawLogin(p.t, wire.V12)
	c.send("SUBSCRIBE\nid:l\ndestination:" + p.queue + "\n\n\x00SEND\ndestination:" + p.queue +
		"\n\nend of the queue\x00")
	var bodies []string
	for {
		_, body, _ := strings.Cut(strings.TrimSuffix(c.frame(), "\x00"), "\n\n")
		if body == "end of the queue" {
			c.done("DISCONNECT") // a consumer less
			return bodies
		}
		bodies = append(bodies, body)
	}
}

// wantLeft compares what the queue still has.
func (p *place) wantLeft(want ...string) {
	p.t.Helper()
	if got := p.left(); !slices.Equal(got, want) {
		p.t.Errorf("the queue has %q, want %q", got, want)
	}
}

// page is where the table is shown.
const page = "../../../docs/stomp.md"

// TestRowsPage keeps the table of the page as it is here; with UPDATE=1 it writes it.
func TestRowsPage(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- rows: written by TestRowsPage -->\n", "<!-- end of rows -->\n"
	before, rest, opened := strings.Cut(string(text), begin)
	have, after, closed := strings.Cut(rest, end)
	if !opened || !closed {
		t.Fatal("the page has no place for the rows")
	}
	want := rowsTable()
	if have == want {
		return
	}
	if os.Getenv("UPDATE") == "" {
		t.Fatal("the page is behind: go test ./internal/door/stomp -run TestRowsPage with UPDATE=1")
	}
	//nolint:gosec // documentation
	if err := os.WriteFile(page, []byte(before+begin+want+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

func rowsTable() string {
	var b strings.Builder
	b.WriteString("| # | clause | 1.0 | 1.1 | 1.2 | test |\n|---|---|---|---|---|---|\n")
	for i, r := range rows() {
		does := r.does
		for v := range does[1:] {
			if does[v+1] == "" {
				does[v+1] = "″"
			}
		}
		fmt.Fprintf(&b, "| %d | %s | %s | %s | %s | TestRows/%s |\n", i+1, r.name,
			does[0], does[1], does[2], rowName(i, r))
	}
	return b.String()
}

// TestSubtestsInPage: each test of this package that the page names with a part (TestX/part) has that
// part.
func TestSubtestsInPage(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(text)
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	rowNames := make(map[string]bool)
	for i, r := range rows() {
		rowNames[rowName(i, r)] = true
	}
	names := regexp.MustCompile(`\b(Test\w+)/([^\s,;|]+)`).FindAllStringSubmatch(string(text), -1)
	if len(names) < len(rowNames) {
		t.Errorf("the page names %d parts of tests", len(names))
	}
	for _, n := range names {
		part := strings.ReplaceAll(n[2], "_", " ")
		if !rowNames[n[2]] && !strings.Contains(source.String(), `"`+part) {
			t.Errorf("%s has no part %q", n[1], part)
		}
	}
}
