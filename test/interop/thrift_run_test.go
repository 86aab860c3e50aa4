// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// thriftRunWait bounds a client's run, on a busy machine.
const thriftRunWait = 2 * commandWait

// What clients say besides the names of thriftCalls.
const (
	wildValues    = "wild values" // which not all get across: see docs/thrift.md
	named         = "ThriftTest:testI32"
	secondService = "SecondService:secondtestString"
)

func atThrift(h *thriftHub) []string { return []string{"--addr", h.thrift} }

// A thriftRun is a client that makes all its calls.
type thriftRun struct {
	name, row string
	command   []string
	at        func(*thriftHub) []string // the arguments that say where the hub is
	says      []string                  // the names of calls that were answered as they should be
}

// thriftCalls are the calls that every client makes, as they are in thrift.md, Generated clients and servers.
func thriftCalls() []string {
	return []string{
		"testVoid", "testString", "testBool", "testByte", "testI32", "testI64", "testDouble",
		"testBinary", "testStruct", "testNest", "testMap", "testStringMap", "testSet", "testList",
		"testEnum", "testTypedef", "testMapMap", "testInsanity", "testMulti",
		"testException Xception", "testException TException", "testException",
		"testMultiException Xception", "testMultiException Xception2", "testMultiException",
		"testOneway",
	}
}

// run is p in one form; uuid says that it calls testUuid too, tame that it sends no wild values.
func (p thriftProgram) run(form thriftForm, uuid, tame bool) thriftRun {
	r := thriftRun{
		name: p.language + " " + form.String(), row: p.language + ", " + form.protocol,
		command: slices.Concat(p.call, form.args()),
		at:      atThrift, says: thriftCalls(),
	}
	r.wild(tame)
	if uuid {
		r.command = append(r.command, "--uuid")
		r.says = append(r.says, "testUuid")
	}
	r.says = append(r.says, named, secondService)
	return r
}

// wild has wild values sent, or not.
func (r *thriftRun) wild(tame bool) {
	if tame {
		r.command = append(r.command, "--tame")
	} else {
		r.says = slices.Insert(r.says, 0, wildValues)
	}
}

// overTLS is the same run at the port that speaks it.
func (r thriftRun) overTLS() thriftRun {
	r.name += " TLS"
	r.at = func(h *thriftHub) []string { return []string{"--addr", h.secure, "--ca", h.ca} }
	return r
}

// jsonRuns are clients that know JSON alone.
func (k *thriftKit) jsonRuns(tame bool) []thriftRun {
	var runs []thriftRun
	for _, by := range []struct {
		client, door string
		addr         func(*thriftHub) string
	}{
		{"urllib", "rest", func(h *thriftHub) string { return h.REST }},
		{"pika", "amqp", func(h *thriftHub) string { return h.AMQP }},
		{"stomp.py", "stomp", func(h *thriftHub) string { return h.STOMP }},
	} {
		r := thriftRun{
			name: by.client, row: by.client + ", JSON",
			command: []string{python, filepath.Join(k.dir, "python", "json_client.py"), "--by", by.door},
			at:      func(h *thriftHub) []string { return []string{"--addr", by.addr(h)} },
			says:    append(thriftCalls(), secondService),
		}
		r.wild(tame)
		runs = append(runs, r)
	}
	return runs
}

// run has a client make its calls, and returns what goes wrong.
func (k *thriftKit) run(t *testing.T, r thriftRun, hub *thriftHub) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), thriftRunWait)
	defer cancel()
	cmd := exec.CommandContext(ctx, r.command[0], append(r.command[1:], r.at(hub)...)...)
	cmd.Env = k.env
	cmd.WaitDelay = time.Second
	var out, complaint strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w after %q: %.2000s", err, out.String(), complaint.String())
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if !slices.Equal(lines, r.says) {
		return fmt.Errorf("it says %q, want %q", lines, r.says)
	}
	return nil
}
