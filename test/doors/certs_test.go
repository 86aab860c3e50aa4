// SPDX-License-Identifier: Apache-2.0

package doors

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/parley-ipc/parley/hub"
)

// issuer is a certificate authority.
type issuer struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	ca := &issuer{dir: t.TempDir()}
	ca.cert, ca.key = ca.make(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	})
	ca.writePEM(t, "ca.pem", "CERTIFICATE", ca.cert.Raw)
	return ca
}

// make signs a certificate; the first one signs itself.
func (ca *issuer) make(t *testing.T, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := ca.cert, ca.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made, key
}

// issue makes a certificate for one end of loopback and writes it beside the issuer's.
func (ca *issuer) issue(t *testing.T, name string) tls.Certificate {
	t.Helper()
	cert, key := ca.make(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	})
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	ca.writePEM(t, name+".pem", "CERTIFICATE", cert.Raw)
	ca.writePEM(t, name+".key", "PRIVATE KEY", der)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

func (ca *issuer) writePEM(t *testing.T, name, kind string, der []byte) {
	t.Helper()
	text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := os.WriteFile(filepath.Join(ca.dir, name), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// hubTLS is a hub's configuration with a certificate of its own.
func (ca *issuer) hubTLS(t *testing.T) hub.TLS {
	t.Helper()
	ca.issue(t, "hub")
	return hub.TLS{
		Cert: filepath.Join(ca.dir, "hub.pem"), Key: filepath.Join(ca.dir, "hub.key"),
	}
}

// client is a client's configuration, with a certificate where it has a name.
func (ca *issuer) client(t *testing.T, name string) *tls.Config {
	t.Helper()
	config := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "127.0.0.1"}
	config.RootCAs.AddCert(ca.cert)
	if name != "" {
		config.Certificates = []tls.Certificate{ca.issue(t, name)}
	}
	return config
}
