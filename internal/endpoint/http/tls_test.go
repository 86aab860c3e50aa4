// SPDX-License-Identifier: Apache-2.0

package http

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	nethttp "net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/endpoint"
)

// TestTLSFiles: members are verified by the issuers of a file, and see a certificate of the hub's.
func TestTLSFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		t.Helper()
		path := filepath.Join(dir, name)
		text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	s := httptest.NewUnstartedServer(nethttp.HandlerFunc(
		func(w nethttp.ResponseWriter, r *nethttp.Request) {
			_, _ = fmt.Fprint(w, len(r.TLS.PeerCertificates))
		}))
	s.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	s.StartTLS()
	t.Cleanup(s.Close)
	key, err := x509.MarshalPKCS8PrivateKey(s.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	ca := write("ca.pem", "CERTIFICATE", s.Certificate().Raw)
	private := write("key.pem", "PRIVATE KEY", key)
	url := strings.Replace(s.URL, "127.0.0.1", "example.com", 1) // what the certificate is for
	address := s.Listener.Addr().String()
	const connect = 30 * time.Second // a handshake may take its time on a busy machine
	m := reach(t, url, address, Options{CA: ca, Cert: ca, Key: private, Connect: connect})
	if status, body := m.answered(get("/")); status != "200" || body != "1" {
		t.Errorf("%s, the member saw %s certificates", status, body)
	}
	m = reach(t, url, address, Options{CA: ca, Connect: connect})
	if status, body := m.answered(get("/")); status != "200" || body != "0" {
		t.Errorf("%s, the member saw %s certificates", status, body)
	}
	for name, o := range map[string]Options{"an unknown issuer": {}, "another name": {CA: ca}} {
		at := url
		if o.CA != "" {
			at = strings.Replace(s.URL, "127.0.0.1", "other.example", 1)
		}
		_, out := reach(t, at, address, o).try(t.Context(), get("/"))
		if out.Class != endpoint.ClassRefused {
			t.Errorf("%s: %v, %v", name, out.Class, out.Err)
		}
	}
	for want, o := range map[string]Options{
		"ca: open":                {CA: filepath.Join(dir, "none.pem")},
		"holds no certificate":    {CA: private},
		"both are needed":         {Cert: ca},
		"cert: tls: failed":       {Cert: private, Key: private},
		"cert, key: both are nee": {Key: private},
	} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
	}
}
