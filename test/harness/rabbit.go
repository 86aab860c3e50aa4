// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	// EnvRabbit holds `AMQP-address,STOMP-address,management-address` of a RabbitMQ
	// that runs already, with the same options; it spares the start while scripts are
	// being written.
	EnvRabbit = "TEST_RABBIT"
	// rabbitServer is Debian's script below the wrapper that wants its own user.
	rabbitServer  = "/usr/lib/rabbitmq/bin/rabbitmq-server"
	rabbitControl = "/usr/lib/rabbitmq/bin/rabbitmqctl"
	// rabbitWait is how long Erlang and RabbitMQ may take to come up, and to go, on a busy
	// machine with two cores.
	rabbitWait = 120 * time.Second
)

// A Broker is something that speaks AMQP 0-9-1 and STOMP.
type Broker struct {
	Name       string
	AMQP       string // host:port
	STOMP      string // host:port
	Management string // host:port of the HTTP API; empty: closed
	// Watermark sets the memory watermark, in per mille of what the broker may use. Nil: nobody can.
	Watermark func(testing.TB, int)
}

// RabbitOptions say how a RabbitMQ runs.
type RabbitOptions struct {
	// Conf is lines of rabbitmq.conf after the harness's own.
	Conf string
	// Definitions are users, permissions and so on in JSON. With them there is no user that is not
	// among them. Empty: the default user.
	Definitions string
}

// HaveRabbit says whether Debian's RabbitMQ is installed.
func HaveRabbit() bool {
	_, err := os.Stat(rabbitServer)
	return err == nil || os.Getenv(EnvRabbit) != ""
}

// StartRabbit runs Debian's RabbitMQ with its plugins for STOMP, management and
// more exchange types from a temporary directory. Every port is a free one,
// distribution and epmd included, so that it disturbs no other node on the machine.
func StartRabbit(tb testing.TB, o RabbitOptions) *Broker {
	tb.Helper()
	b := &Broker{Name: "RabbitMQ"}
	if have := os.Getenv(EnvRabbit); have != "" {
		addrs := strings.Split(have, ",")
		if len(addrs) != 3 {
			tb.Fatalf("%s=%q is not three addresses", EnvRabbit, have)
		}
		b.AMQP, b.STOMP, b.Management = addrs[0], addrs[1], addrs[2]
		return b
	}
	b.AMQP, b.STOMP, b.Management = FreeAddr(tb), FreeAddr(tb), FreeAddr(tb)
	epmdPort := port(tb, FreeAddr(tb))
	dir := tb.TempDir()
	writeRabbitFiles(tb, dir, b, o)
	epmdEnv := []string{"ERL_EPMD_PORT=" + epmdPort, "ERL_EPMD_ADDRESS=127.0.0.1"}
	// epmd in the foreground: started by the node it would stay behind.
	epmd := exec.Command("epmd", "-port", epmdPort)
	epmd.Env = append(os.Environ(), epmdEnv...)
	ep := Run(tb, "epmd", epmd)
	if err := Accepts(ep, "127.0.0.1:"+epmdPort, rabbitWait); err != nil {
		tb.Fatalf("epmd: %v", err)
	}
	// Nothing of the caller's environment: RABBITMQ_ variables would move files.
	env := append([]string{
		"PATH=/usr/bin:/bin:/usr/sbin:/sbin", "LANG=C.UTF-8", "HOME=" + dir,
		"RABBITMQ_NODENAME=oracle@localhost",
		"RABBITMQ_DIST_PORT=" + port(tb, FreeAddr(tb)),
		"RABBITMQ_MNESIA_BASE=" + filepath.Join(dir, "mnesia"),
		"RABBITMQ_LOG_BASE=" + filepath.Join(dir, "log"),
		"RABBITMQ_CONFIG_FILE=" + filepath.Join(dir, "rabbitmq"),
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + filepath.Join(dir, "plugins"),
		"RABBITMQ_CONF_ENV_FILE=/dev/null",
	}, epmdEnv...)
	cmd := exec.Command(rabbitServer)
	cmd.Env = env
	p := Run(tb, "rabbitmq-server", cmd)
	p.stopWait = rabbitWait
	b.Watermark = func(tb testing.TB, mille int) {
		tb.Helper()
		ctl := exec.Command(rabbitControl, "set_vm_memory_high_watermark",
			fmt.Sprintf("%.3f", float64(mille)/1000))
		ctl.Env = env
		if out, err := ctl.CombinedOutput(); err != nil {
			tb.Errorf("rabbitmqctl: %v\n%s", err, out)
		}
	}
	for _, addr := range []string{b.AMQP, b.STOMP, b.Management} {
		if err := Accepts(p, addr, rabbitWait); err != nil {
			tb.Fatalf("RabbitMQ: %v", err)
		}
	}
	return b
}

// writeRabbitFiles writes RabbitMQ's configuration.
func writeRabbitFiles(tb testing.TB, dir string, b *Broker, o RabbitOptions) {
	tb.Helper()
	conf := "listeners.tcp.1 = " + b.AMQP + "\n" +
		"stomp.listeners.tcp.1 = " + b.STOMP + "\n" +
		"management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = " + port(tb, b.Management) + "\n"
	if o.Definitions != "" {
		conf += "load_definitions = " + filepath.Join(dir, "definitions.json") + "\n"
	}
	for name, text := range map[string]string{
		"plugins": "[rabbitmq_stomp, rabbitmq_management, rabbitmq_consistent_hash_exchange," +
			" rabbitmq_random_exchange, rabbitmq_recent_history_exchange, rabbitmq_sharding].\n",
		"rabbitmq.conf":    conf + o.Conf,
		"definitions.json": o.Definitions,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
}

func port(tb testing.TB, addr string) string {
	tb.Helper()
	_, p, err := net.SplitHostPort(addr)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}
