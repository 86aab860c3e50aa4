// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	// EnvBinary names a parley binary to test instead of building one.
	EnvBinary = "TEST_PARLEY_BINARY"
	// EnvHub holds the addresses of a hub as Addresses returns them, with commas between,
	// of one that runs already; tests that stop and start hubs do not use it.
	EnvHub = "TEST_HUB"
	// readyWait is how long a hub may take until every door accepts.
	readyWait = 30 * time.Second
	// countsWait bounds a question for a queue's counters.
	countsWait = 30 * time.Second
	// startTries is how often Start looks for other free ports.
	startTries = 3
)

// Options say how a hub runs. The zero value is a hub with the AMQP, STOMP, REST,
// line and Thrift doors, an empty data directory and the default sync.
type Options struct {
	Dir  string   // data directory; empty: a new one that ends with the test
	Args []string // after `serve`
	Wrap []string // a command that runs what follows it, such as strace
	Env  []string // KEY=value, after the harness's own

	AMQP, Management string // addresses of those doors; empty: free ones
}

// A Hub is a running `parley serve`.
type Hub struct {
	*Process

	AMQP string // host:port
	// Management is its HTTP API, host:port; empty when EnvHub names a hub.
	Management string
	STOMP      string // host:port
	REST       string // host:port
	Line       string // host:port
	Thrift     string // host:port
	Dir        string // data directory

	binary  string
	options Options
}

// addresses is how many Addresses returns.
const addresses = 5

// Addresses returns where the hub's doors are: AMQP, STOMP, REST, line and Thrift.
func (h *Hub) Addresses() []string {
	return []string{h.AMQP, h.STOMP, h.REST, h.Line, h.Thrift}
}

// At returns a hub that somebody else runs, by its Addresses.
func At(addrs []string) *Hub {
	return &Hub{
		AMQP: addrs[0], STOMP: addrs[1], REST: addrs[2], Line: addrs[3], Thrift: addrs[4],
	}
}

// URL returns the REST door's address of path.
func (h *Hub) URL(path string) string { return "http://" + h.REST + path }

// AMQPURL returns the AMQP door's URL for the default user.
func (h *Hub) AMQPURL() string { return "amqp://guest:guest@" + h.AMQP + "/" }

// Counts asks the hub how many messages of a queue are ready, and how many are with consumers.
func (h *Hub) Counts(ctx context.Context, queue string) (ready, unsettled int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.URL("/v1/queues/"+queue), nil)
	if err != nil {
		return 0, 0, err
	}
	req.SetBasicAuth("guest", "guest")
	client := http.Client{Timeout: countsWait, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return 0, 0, err
	}
	defer res.Body.Close()
	var body struct {
		Messages  int `json:"message_count"`
		Unsettled int `json:"unsettled_count"`
	}
	if res.StatusCode != http.StatusOK {
		return 0, 0, fmt.Errorf("queue %s: %s", queue, res.Status)
	}
	err = json.NewDecoder(res.Body).Decode(&body)
	return body.Messages, body.Unsettled, err
}

// Root returns the directory of the parley checkout.
func Root(tb testing.TB) string {
	tb.Helper()
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		tb.Fatal("no caller information")
	}
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// Build compiles cmd/parley and returns the binary's path. The file is shared by
// all test processes of this user: a lock keeps them from writing it at once,
// and the go command leaves an up-to-date file alone.
func Build(tb testing.TB) string {
	tb.Helper()
	if bin := os.Getenv(EnvBinary); bin != "" {
		return bin
	}
	return buildAt(tb, Root(tb), "./cmd/parley", "parley")
}

// BuildHelper compiles a program of this module, given by its directory below
// test/, for tests that need a process of their own to kill.
func BuildHelper(tb testing.TB, dir string) string {
	tb.Helper()
	return buildAt(tb, filepath.Join(Root(tb), "test"), "./"+dir, filepath.Base(dir))
}

func buildAt(tb testing.TB, module, pkg, name string) string {
	tb.Helper()
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("parley-test-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		tb.Fatal(err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		tb.Fatal(err)
	}
	defer lock.Close() // closing releases the lock
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		tb.Fatal(err)
	}
	shared := filepath.Join(dir, name)
	cmd := exec.Command("go", "build", "-o", shared, pkg)
	cmd.Dir = module
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("go build %s: %v\n%s", pkg, err, out)
	}
	// A link of the test's own: a later build replaces the shared name and
	// leaves this file as it is.
	own := filepath.Join(tb.TempDir(), name)
	if err := os.Link(shared, own); err != nil {
		tb.Fatal(err)
	}
	return own
}

// Start runs a hub and returns when its REST door says that it is ready.
func Start(tb testing.TB, binary string, opts Options) *Hub {
	tb.Helper()
	if addrs := strings.Split(os.Getenv(EnvHub), ","); len(addrs) == addresses && opts.Dir == "" {
		return At(addrs)
	}
	if opts.Dir == "" {
		opts.Dir = tb.TempDir()
	}
	var err error
	for range startTries {
		var h *Hub
		if h, err = start(tb, binary, opts); err == nil {
			return h
		}
		tb.Logf("start the hub: %v", err)
	}
	tb.Fatalf("the hub does not start: %v", err)
	return nil
}

// Again starts a hub on the addresses and the data of one that has ended, so that
// clients which connect again by themselves find it.
func (h *Hub) Again(tb testing.TB) *Hub {
	tb.Helper()
	again := &Hub{
		AMQP: h.AMQP, STOMP: h.STOMP, REST: h.REST, Line: h.Line, Thrift: h.Thrift,
		Management: h.Management, Dir: h.Dir, binary: h.binary, options: h.options,
	}
	if err := again.serve(tb); err != nil {
		tb.Fatalf("the hub does not start again: %v", err)
	}
	return again
}

func start(tb testing.TB, binary string, opts Options) (*Hub, error) {
	tb.Helper()
	h := &Hub{
		AMQP: opts.AMQP, STOMP: FreeAddr(tb), REST: FreeAddr(tb), Line: FreeAddr(tb),
		Thrift: FreeAddr(tb), Management: opts.Management, Dir: opts.Dir, binary: binary, options: opts,
	}
	for _, addr := range []*string{&h.AMQP, &h.Management} {
		if *addr == "" {
			*addr = FreeAddr(tb)
		}
	}
	return h, h.serve(tb)
}

// serve runs the hub and returns when its REST door says that it is ready.
func (h *Hub) serve(tb testing.TB) error {
	tb.Helper()
	opts := h.options
	line := slices.Concat(opts.Wrap, []string{h.binary, "serve"}, opts.Args)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Env = cleanEnv(
		"PARLEY_DATA="+h.Dir,
		"PARLEY_DOORS__AMQP__LISTEN="+h.AMQP,
		"PARLEY_DOORS__STOMP__LISTEN="+h.STOMP,
		"PARLEY_DOORS__REST__LISTEN="+h.REST,
		"PARLEY_DOORS__WEBSTOMP__LISTEN=off",
		"PARLEY_DOORS__MANAGEMENT__LISTEN="+h.Management,
		"PARLEY_DOORS__THRIFT__LISTEN="+h.Thrift,
		"PARLEY_DOORS__LINE__LISTEN="+h.Line,
	)
	cmd.Env = append(cmd.Env, opts.Env...)
	h.Process = Run(tb, "parley serve", cmd)
	// No spare connection: tests count those of a hub.
	client := &http.Client{
		Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true},
	}
	err := Poll(readyWait, func() error {
		select {
		case <-h.Done():
			return fmt.Errorf("%w: %s", errEnded, h.Output())
		default:
		}
		res, err := client.Get(h.URL("/readyz"))
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("readyz answers %s", res.Status)
		}
		return nil
	})
	if err != nil {
		h.Kill()
	}
	return err
}
