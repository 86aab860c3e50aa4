// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	// EnvRabbit holds `AMQP-address,STOMP-address` of a RabbitMQ that runs
	// already; it spares the start while scripts are being written.
	EnvRabbit = "TEST_RABBIT"
	// rabbitServer is Debian's script below the wrapper that wants its own user.
	rabbitServer = "/usr/lib/rabbitmq/bin/rabbitmq-server"
	// rabbitWait is how long Erlang and RabbitMQ may take to come up on a busy
	// machine with two cores.
	rabbitWait = 120 * time.Second
)

// A Broker is something that speaks AMQP 0-9-1 and STOMP.
type Broker struct {
	Name  string
	AMQP  string // host:port
	STOMP string // host:port
}

// HaveRabbit says whether Debian's RabbitMQ is installed.
func HaveRabbit() bool {
	_, err := os.Stat(rabbitServer)
	return err == nil || os.Getenv(EnvRabbit) != ""
}

// StartRabbit runs Debian's RabbitMQ with its STOMP plugin from a temporary
// directory. Every port is a free one, distribution and epmd included, so that
// it disturbs no other node on the machine.
func StartRabbit(tb testing.TB) *Broker {
	tb.Helper()
	b := &Broker{Name: "RabbitMQ"}
	if have := os.Getenv(EnvRabbit); have != "" {
		var ok bool
		if b.AMQP, b.STOMP, ok = strings.Cut(have, ","); !ok {
			tb.Fatalf("%s=%q is not two addresses", EnvRabbit, have)
		}
		return b
	}
	b.AMQP, b.STOMP = FreeAddr(tb), FreeAddr(tb)
	epmdPort := port(tb, FreeAddr(tb))
	dir := tb.TempDir()
	files := map[string]string{
		"plugins": "[rabbitmq_stomp].\n",
		"rabbitmq.conf": "listeners.tcp.1 = " + b.AMQP + "\n" +
			"stomp.listeners.tcp.1 = " + b.STOMP + "\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	epmdEnv := []string{"ERL_EPMD_PORT=" + epmdPort, "ERL_EPMD_ADDRESS=127.0.0.1"}
	// epmd in the foreground: started by the node it would stay behind.
	epmd := exec.Command("epmd", "-port", epmdPort)
	epmd.Env = append(os.Environ(), epmdEnv...)
	ep := Run(tb, "epmd", epmd)
	if err := Accepts(ep, "127.0.0.1:"+epmdPort, rabbitWait); err != nil {
		tb.Fatalf("epmd: %v", err)
	}
	cmd := exec.Command(rabbitServer)
	// Nothing of the caller's environment: RABBITMQ_ variables would move files.
	cmd.Env = append([]string{
		"PATH=/usr/bin:/bin:/usr/sbin:/sbin", "LANG=C.UTF-8", "HOME=" + dir,
		"RABBITMQ_NODENAME=oracle@localhost",
		"RABBITMQ_DIST_PORT=" + port(tb, FreeAddr(tb)),
		"RABBITMQ_MNESIA_BASE=" + filepath.Join(dir, "mnesia"),
		"RABBITMQ_LOG_BASE=" + filepath.Join(dir, "log"),
		"RABBITMQ_CONFIG_FILE=" + filepath.Join(dir, "rabbitmq"),
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + filepath.Join(dir, "plugins"),
		"RABBITMQ_CONF_ENV_FILE=/dev/null",
	}, epmdEnv...)
	p := Run(tb, "rabbitmq-server", cmd)
	for _, addr := range []string{b.AMQP, b.STOMP} {
		if err := Accepts(p, addr, rabbitWait); err != nil {
			tb.Fatalf("RabbitMQ: %v", err)
		}
	}
	return b
}

func port(tb testing.TB, addr string) string {
	tb.Helper()
	_, p, err := net.SplitHostPort(addr)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}
