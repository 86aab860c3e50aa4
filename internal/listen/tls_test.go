// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"bufio"
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A handler gets a connection that has an identity, can be closed by halves, and has no descriptor
// to be written to behind TLS's back.
func TestTLS(t *testing.T) {
	t.Parallel()
	ca := newIssuer(t, "ca")
	subject := pkix.Name{
		Organization: []string{"Acme, Inc."}, OrganizationalUnit: []string{"ships"}, CommonName: "ada",
	}
	pair := ca.issue(t, subject, nil)
	testCases := []struct {
		name, identity, auth string
		certs                []tls.Certificate
		want                 string
	}{
		{"distinguished name", "", "", []tls.Certificate{pair}, `CN=ada,OU=ships,O=Acme\, Inc.`},
		{"common name", IdentityCN, AuthRequire, []tls.Certificate{pair}, "ada"},
		{"none is fine", IdentityCN, AuthRequest, nil, ""},
		{"one is verified", IdentityCN, AuthRequest, []tls.Certificate{pair}, "ada"},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			o := served(t, ca)
			o.ClientCA, o.ClientAuth, o.Identity = ca.file(t), tc.auth, tc.identity
			l := start(t, Options{TLS: o}, func(_ context.Context, conn net.Conn, loggedIn func()) {
				loggedIn()
				got := "?"
				if known, ok := conn.(interface{ Identity() string }); ok {
					got = known.Identity()
				}
				if raw, ok := conn.(syscall.Conn); ok {
					if _, err := raw.SyscallConn(); !errors.Is(err, errors.ErrUnsupported) {
						got += " and a descriptor"
					}
				}
				_, _ = conn.Read(make([]byte, 1))
				_, _ = io.WriteString(conn, "x"+got)
				if half, ok := conn.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
					t.Error("it cannot be closed by halves")
				}
				_, _ = io.Copy(io.Discard, conn)
			})
			conn, err := dialTLS(t, l, &tls.Config{RootCAs: ca.pool(), ServerName: "localhost", Certificates: tc.certs})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(conn); err != nil || string(got) != tc.want {
				t.Errorf("identity %q, %v, want %q", got, err, tc.want)
			}
		})
	}
}

// L1: only a certificate that is sound in every way, by the issuer that is trusted, comes in.
func TestSecL1ClientCertificates(t *testing.T) {
	t.Parallel()
	ca, stranger := newIssuer(t, "ca"), newIssuer(t, "ca") // the same name, and the same serials
	name := pkix.Name{CommonName: "ada"}
	with := func(by issuer, change func(*x509.Certificate)) []tls.Certificate {
		return []tls.Certificate{by.issue(t, name, change)}
	}
	testCases := []struct {
		name    string
		certs   []tls.Certificate
		version uint16 // the highest that the client speaks
		ok      bool
	}{
		{"sound", with(ca, nil), tls.VersionTLS13, true},
		{"sound with TLS 1.2", with(ca, nil), tls.VersionTLS12, true},
		{"none", nil, tls.VersionTLS13, false},
		{"expired", with(ca, func(c *x509.Certificate) {
			c.NotAfter = time.Now().Add(-time.Minute)
		}), tls.VersionTLS13, false},
		{"not valid yet", with(ca, func(c *x509.Certificate) {
			c.NotBefore = time.Now().Add(time.Minute)
		}), tls.VersionTLS13, false},
		{"for servers only", with(ca, func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}), tls.VersionTLS13, false},
		{"right name and serial by another issuer", with(stranger, nil), tls.VersionTLS13, false},
		{"the same with TLS 1.2", with(stranger, nil), tls.VersionTLS12, false},
		{"TLS 1.1", with(ca, nil), tls.VersionTLS11, false},
		{"TLS 1.0", with(ca, nil), tls.VersionTLS10, false},
	}
	o := served(t, ca)
	o.ClientCA = ca.file(t)
	l := start(t, Options{TLS: o}, echo)
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := dialTLS(t, l, &tls.Config{
				RootCAs: ca.pool(), ServerName: "localhost", MinVersion: tls.VersionTLS10, MaxVersion: tc.version,
				// The client's own library would not send what the hub did not ask for.
				GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					if len(tc.certs) == 0 {
						return &tls.Certificate{}, nil
					}
					return &tc.certs[0], nil
				},
			})
			if (err == nil) != tc.ok {
				t.Errorf("%v", err)
			}
		})
	}
}

// L1: a client that asks for renegotiation is cut off.
func TestSecL1Renegotiation(t *testing.T) {
	t.Parallel()
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl here")
	}
	ended := make(chan struct{})
	l := start(t, Options{TLS: served(t, newIssuer(t, "ca"))},
		func(_ context.Context, conn net.Conn, loggedIn func()) {
			defer close(ended)
			loggedIn()
			_, _ = io.WriteString(conn, "welcome\n")
			_, _ = io.Copy(io.Discard, conn)
		})
	ctx, cancel := context.WithTimeout(t.Context(), waitBound)
	defer cancel()
	cmd := exec.CommandContext(ctx, openssl, "s_client", "-tls1_2", "-connect", l.Addr().String())
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
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.HasSuffix(lines.Text(), "welcome") {
	}
	if _, err := io.WriteString(in, "R\n"); err != nil { // s_client's command for it
		t.Error(err)
	}
	select {
	case <-ended:
	case <-ctx.Done():
		t.Error("the hub went on")
	}
	in.Close()
	_, _ = io.Copy(io.Discard, out)
	_ = cmd.Wait() // how it was cut off is openssl's word
}

// L1: key updates without end, each of which makes the hub work, end the connection.
func TestSecL1KeyUpdateFlood(t *testing.T) {
	t.Parallel()
	ca := newIssuer(t, "ca")
	heard := make(chan bool, 1)
	l := start(t, Options{TLS: served(t, ca)}, func(_ context.Context, conn net.Conn, in func()) {
		in()
		heard <- readByte(conn)
		_, _ = io.Copy(io.Discard, conn)
	})
	var keys bytes.Buffer
	raw := dial(t, l)
	client := tls.Client(raw, &tls.Config{
		RootCAs: ca.pool(), ServerName: "localhost", KeyLogWriter: &keys, MinVersion: tls.VersionTLS13,
	})
	if err := client.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if suite := client.ConnectionState().CipherSuite; suite != tls.TLS_AES_128_GCM_SHA256 {
		t.Skipf("the flood speaks another suite than %s", tls.CipherSuiteName(suite))
	}
	_, rest, _ := strings.Cut(keys.String(), "CLIENT_TRAFFIC_SECRET_0 ")
	fields := strings.Fields(rest)
	secret, err := hex.DecodeString(fields[1])
	if err != nil {
		t.Fatal(err)
	}
	var sequence byte
	update := func() []byte {
		// It asks for one in return (§4.6.3).
		record := seal(t, secret, sequence, []byte{24, 0, 0, 1, 1, 22})
		sequence, secret = 0, expand(t, secret, "traffic upd", sha256.Size)
		return record
	}
	_, err = raw.Write(slices.Concat(update(), seal(t, secret, 0, []byte{'x', 23})))
	if err != nil || !<-heard {
		t.Fatal("one key update is not taken", err)
	}
	const flood = 1000
	sequence = 1
	sent := 0
	for ; sent < flood && err == nil; sent++ {
		_, err = raw.Write(update())
	}
	if _, err := io.Copy(io.Discard, raw); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the hub took %d key updates", sent)
	}
}

// seal makes a record under a secret; the last octet is its content type (RFC 8446 §5.2).
func seal(t *testing.T, secret []byte, sequence byte, message []byte) []byte {
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
	nonce := expand(t, secret, "iv", aead.NonceSize())
	nonce[len(nonce)-1] ^= sequence
	return aead.Seal(head, nonce, message, head)
}

// expand is HKDF-Expand-Label without a context (RFC 8446 §7.1).
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

// Section 2: TLS has its share of the time and of the bytes before login.
func TestSecHandshakeBounds(t *testing.T) {
	t.Parallel()
	ca := newIssuer(t, "ca")
	l := start(t, Options{TLS: served(t, ca), Limits: Limits{HandshakeTimeout: 300 * time.Millisecond}}, echo)
	silent := dial(t, l)
	if began := time.Now(); readByte(silent) || time.Since(began) > 5*time.Second {
		t.Error("a silent client was kept")
	}
	patient := start(t, Options{TLS: served(t, ca)}, echo)
	endless := dial(t, patient)
	// Empty records, each with its head: they count though they hold nothing.
	record := append([]byte{0x16, 3, 1, 0x40, 0}, make([]byte, 0x4000)...)
	record[5] = 1                                      // client hello
	record[6], record[7], record[8] = 0xff, 0xff, 0xff // 16 MiB of it
	if _, err := endless.Write(slices.Repeat(record, 16)); err == nil && readAlert(endless) {
		t.Error("a client hello without an end was read on")
	}
	if open, _ := patient.Counts(); open > 1 {
		t.Errorf("%d connections", open)
	}
}

// readAlert reports whether the connection stays open after what the hub has to say.
func readAlert(conn net.Conn) bool {
	_, err := io.Copy(io.Discard, conn)
	return errors.Is(err, os.ErrDeadlineExceeded)
}

// Certificates are read again when they change, and stay as they are when the new ones are not
// sound.
func TestTLSReload(t *testing.T) {
	t.Parallel()
	ca, other := newIssuer(t, "ca"), newIssuer(t, "other")
	var log strings.Builder
	o := served(t, ca)
	l := start(t, Options{TLS: o, Logger: slog.New(slog.NewTextHandler(&log, nil))}, echo)
	again := func() {
		files := l.tls.files
		files.mu.Lock()
		defer files.mu.Unlock()
		files.looked = time.Time{}
	}
	shows := func(by issuer) bool {
		_, err := dialTLS(t, l, &tls.Config{RootCAs: by.pool(), ServerName: "localhost"})
		return err == nil
	}
	if !shows(ca) || shows(other) {
		t.Fatal("the first certificate is not shown")
	}
	write(t, other.issue(t, pkix.Name{CommonName: "new"}, nil), o.Cert, o.Key)
	if !shows(ca) {
		t.Error("files are looked at more often than once a second")
	}
	again()
	if !shows(other) || shows(ca) {
		t.Error("the new certificate is not shown")
	}
	for _, broken := range []func() error{
		func() error { return os.WriteFile(o.Key, []byte("no key"), 0o600) },
		func() error { return os.Remove(o.Key) },
	} {
		if err := broken(); err != nil {
			t.Fatal(err)
		}
		again()
		if !shows(other) {
			t.Error("a broken file took the certificate away")
		}
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if text := log.String(); strings.Count(text, "are not used") != 1 || !strings.Contains(text, o.Key) {
		t.Errorf("log: %s", text)
	}
}

func TestTLSFaults(t *testing.T) {
	t.Parallel()
	ca := newIssuer(t, "ca")
	good, second := served(t, ca), served(t, ca)
	testCases := []struct {
		name   string
		change func(o *TLS)
		want   string // beginnings, a line each
	}{
		{"sound", func(*TLS) {}, ""},
		{
			"nothing", func(o *TLS) { *o = TLS{Identity: "x", ClientAuth: "maybe"} },
			"cert: TLS\nkey: TLS\nclient_auth: \"maybe\" is not none, request, require\nidentity: \"x\" is not",
		},
		{"not there", func(o *TLS) { o.Cert += "x" }, "cert: " + good.Cert + "x: no such file"},
		{"another key", func(o *TLS) { o.Key = second.Key }, "cert: " + good.Cert + " with " + second.Key},
		{"no issuer", func(o *TLS) { o.ClientAuth = AuthRequire }, "client_ca: client_auth require needs it"},
		{"no issuer in the file", func(o *TLS) { o.ClientCA = o.Key }, "client_ca: " + good.Key + " holds no"},
		{
			"nobody is verified", func(o *TLS) { o.ClientAuth, o.ClientCA = AuthNone, o.Cert },
			"client_auth: none verifies nobody",
		},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			o := good
			tc.change(&o)
			faults := o.Validate()
			want := strings.Split(tc.want, "\n")
			if tc.want == "" {
				want = nil
			}
			if len(faults) != len(want) {
				t.Fatalf("%v, want %q", faults, want)
			}
			for i := range want {
				if !strings.HasPrefix(faults[i].Error(), want[i]) {
					t.Errorf("%v, want %q", faults[i], want[i])
				}
			}
		})
	}
}

// Two common names, or none, are nobody: one of them may be somebody else's.
func TestSecIdentity(t *testing.T) {
	t.Parallel()
	ca := newIssuer(t, "ca")
	o := TLS{Identity: IdentityCN}
	two := pkix.Name{CommonName: "ada", ExtraNames: []pkix.AttributeTypeAndValue{
		{Type: commonName(), Value: "guest"}, {Type: commonName(), Value: "ada"},
	}}
	for _, subject := range []pkix.Name{two, {Organization: []string{"Acme"}}} {
		if got := o.identityOf(ca.issue(t, subject, nil).Leaf); got != "" {
			t.Errorf("identity %q", got)
		}
	}
}
