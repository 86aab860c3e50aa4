// SPDX-License-Identifier: Apache-2.0

package security

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-ipc/parley/test/harness"
)

// certificates are what the rows of L1 show and what the hub has.
type certificates struct {
	ca, stranger *harness.Issuer
	address      string // of STOMP over TLS, which wants a certificate of the ca's
	thrift       string // and of Thrift, which wants one too
}

func newCertificates(t *testing.T) *certificates {
	t.Helper()
	c := &certificates{
		ca: harness.NewIssuer(t), stranger: harness.NewIssuer(t), address: harness.FreeAddr(t),
		thrift: harness.FreeAddr(t),
	}
	c.ca.Issue(t, "hub", nil)
	return c
}

// configuration is the hub's part of it.
func (c *certificates) configuration() string {
	file := func(name string) string { return filepath.Join(c.ca.Dir, name) }
	door := func(address string) string {
		return "{tls_listen: \"" + address + "\", tls: {client_ca: " + file("ca.pem") + "}}"
	}
	return "tls: {cert: " + file("hub.pem") + ", key: " + file("hub.key") + "}\n" +
		"doors: {webstomp: {compress: true}, stomp: " + door(c.address) + ", thrift: " + door(c.thrift) + "}\n"
}

func tlsAttacks() []attack {
	ago := func(c *x509.Certificate) { c.NotBefore, c.NotAfter = time.Unix(1, 0), time.Unix(2, 0) }
	server := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }
	return []attack{
		{"L1 sound certificate", func(t *testing.T, g *ground) {
			config := g.certs.ca.Client(g.certs.ca.Issue(t, "ada", nil))
			conn := tls.Client(dialQuick(t, g.certs.address), config)
			answered(t, conn, []byte(connect), "CONNECTED")
			conn = tls.Client(dialQuick(t, g.certs.thrift), config)
			answered(t, conn, []byte(thriftPing), "unauthenticated") // no user of the hub is called so
		}},
		shown("L1 no certificate", nil),
		shown("L1 expired certificate", func(t *testing.T, g *ground) []tls.Certificate {
			t.Helper()
			return []tls.Certificate{g.certs.ca.Issue(t, "old", ago)}
		}),
		shown("L1 certificate of a server", func(t *testing.T, g *ground) []tls.Certificate {
			t.Helper()
			return []tls.Certificate{g.certs.ca.Issue(t, "server", server)}
		}),
		shown("L1 same name and serial by another issuer", func(t *testing.T, g *ground) []tls.Certificate {
			t.Helper()
			return []tls.Certificate{g.certs.stranger.Issue(t, "ada", nil)}
		}),
		{"L1 old versions", func(t *testing.T, g *ground) {
			config := g.certs.ca.Client(g.certs.ca.Issue(t, "ada", nil))
			for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
				config.MinVersion, config.MaxVersion = tls.VersionTLS10, version
				volley(t, 40, func() { noTLS(t, g, config) })
			}
		}},
		{"L1 hello without an end", func(t *testing.T, g *ground) {
			record := append([]byte{0x16, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff}, make([]byte, 0x4000-4)...)
			volley(t, 40, func() {
				ends(t, dialQuick(t, g.certs.address), bytes.Repeat(record, 16))
			})
		}},
		{"L1 half a hello and silence", func(t *testing.T, g *ground) {
			var open []net.Conn
			for range 300 {
				conn := dial(t, g.certs.address)
				if _, err := conn.Write([]byte{0x16, 3, 1, 2, 0, 1}); err != nil {
					t.Fatal(err)
				}
				open = append(open, conn)
			}
			for _, conn := range open {
				_ = conn.Close()
			}
		}},
		{"L1 renegotiation", renegotiation},
		{"L1 KeyUpdate flood", keyUpdates},
	}
}

// shown is a row of clients that show certificates which are not good enough.
func shown(row string, certs func(*testing.T, *ground) []tls.Certificate) attack {
	return attack{row, func(t *testing.T, g *ground) {
		config := g.certs.ca.Client()
		if certs != nil {
			config = g.certs.ca.Client(certs(t, g)...)
		}
		volley(t, 40, func() { noTLS(t, g, config) })
	}}
}

// noTLS expects that a handshake fails, or in TLS 1.3 what follows it.
func noTLS(t *testing.T, g *ground, config *tls.Config) {
	t.Helper()
	for address, first := range map[string]string{g.certs.address: connect, g.certs.thrift: thriftPing} {
		raw := dialQuick(t, address)
		conn := tls.Client(raw, config)
		_, err := conn.Write([]byte(first))
		if err == nil {
			_, err = conn.Read(make([]byte, 1))
		}
		if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the hub went on: %v", err)
		}
		_ = raw.Close()
	}
}

// thriftPing is a call that names no service, framed, in strict binary.
const thriftPing = "\x00\x00\x00\x11\x80\x01\x00\x01\x00\x00\x00\x04ping\x00\x00\x00\x01\x00"

// ends sends bytes and expects no more than that the connection ends.
func ends(t *testing.T, conn net.Conn, send []byte) {
	t.Helper()
	exchange(t, conn, send, func([]byte) bool { return false })
}

// renegotiation asks for it in TLS 1.2, which ends the connection.
func renegotiation(t *testing.T, g *ground) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl here")
	}
	g.certs.ca.Issue(t, "again", nil)
	file := func(name string) string { return filepath.Join(g.certs.ca.Dir, name) }
	for range 4 {
		ctx, cancel := context.WithTimeout(t.Context(), attackWait)
		cmd := exec.CommandContext(ctx, openssl, "s_client", "-tls1_2", "-quiet", "-no_ign_eof", "-connect",
			g.certs.address, "-cert", file("again.pem"), "-key", file("again.key"))
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(in, connect); err != nil {
			t.Error(err)
		}
		first := make([]byte, len("CONNECTED"))
		if _, err := io.ReadFull(out, first); err != nil || string(first) != "CONNECTED" {
			t.Errorf("%q, %v", first, err)
		}
		if _, err := io.WriteString(in, "R\n"); err != nil { // s_client's command for it
			t.Error(err)
		}
		if _, err := io.Copy(io.Discard, out); err != nil || ctx.Err() != nil {
			t.Errorf("the hub went on: %v", err)
		}
		in.Close()
		_ = cmd.Wait() // how it was cut off is openssl's word
		cancel()
	}
}

// keyUpdates asks for new keys without end (RFC 8446 §4.6.3).
func keyUpdates(t *testing.T, g *ground) {
	volley(t, 8, func() {
		var keys bytes.Buffer
		config := g.certs.ca.Client(g.certs.ca.Issue(t, "keys", nil))
		config.KeyLogWriter, config.MinVersion = &keys, tls.VersionTLS13
		raw := dialQuick(t, g.certs.address)
		client := tls.Client(raw, config)
		if err := client.HandshakeContext(t.Context()); err != nil {
			t.Error(err)
			return
		}
		if client.ConnectionState().CipherSuite != tls.TLS_AES_128_GCM_SHA256 {
			_ = raw.Close()
			return // the flood speaks one suite
		}
		_, rest, _ := strings.Cut(keys.String(), "CLIENT_TRAFFIC_SECRET_0 ")
		secret, err := hex.DecodeString(strings.Fields(rest)[1])
		if err != nil {
			t.Error(err)
			return
		}
		var flood []byte
		for range 1000 {
			flood = append(flood, seal(t, secret, []byte{24, 0, 0, 1, 1, 22})...)
			secret = expand(t, secret, "traffic upd", sha256.Size)
		}
		ends(t, raw, flood)
	})
}

// seal makes the first record under a secret; the last octet of a message is its type (§5.2).
func seal(t *testing.T, secret, message []byte) []byte {
	t.Helper()
	block, err := aes.NewCipher(expand(t, secret, "key", 16))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	head := []byte{23, 3, 3, 0, byte(len(message) + aead.Overhead())}
	return aead.Seal(head, expand(t, secret, "iv", aead.NonceSize()), message, head)
}

// expand is HKDF-Expand-Label without a context (§7.1).
func expand(t *testing.T, secret []byte, label string, n int) []byte {
	t.Helper()
	label = "tls13 " + label
	info := string([]byte{0, byte(n), byte(len(label))}) + label + "\x00"
	out, err := hkdf.Expand(sha256.New, secret, info, n)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
