// SPDX-License-Identifier: Apache-2.0

package harness

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
)

// serial is that of every certificate: issuers are told apart by their keys, never by numbers.
const serial = 7

// Issuer is a certificate authority, whose certificate is ca.pem in its directory.
type Issuer struct {
	Dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewIssuer returns an authority of its own. All have one name.
func NewIssuer(tb testing.TB) *Issuer {
	tb.Helper()
	ca := &Issuer{Dir: tb.TempDir()}
	ca.cert, ca.key = ca.make(tb, &x509.Certificate{
		Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	})
	ca.writePEM(tb, "ca.pem", "CERTIFICATE", ca.cert.Raw)
	return ca
}

// make signs a certificate; the first one signs itself.
func (ca *Issuer) make(
	tb testing.TB, c *x509.Certificate,
) (*x509.Certificate, *ecdsa.PrivateKey) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	c.SerialNumber = big.NewInt(serial)
	if c.NotAfter.IsZero() {
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	parent, signer := ca.cert, ca.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		tb.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return made, key
}

// Issue makes a certificate for one end of loopback, and writes it as NAME.pem and NAME.key beside
// the issuer's. change, if it is not nil, makes it less sound.
func (ca *Issuer) Issue(
	tb testing.TB, name string, change func(*x509.Certificate),
) tls.Certificate {
	tb.Helper()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	if change != nil {
		change(template)
	}
	cert, key := ca.make(tb, template)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	ca.writePEM(tb, name+".pem", "CERTIFICATE", cert.Raw)
	ca.writePEM(tb, name+".key", "PRIVATE KEY", der)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

// Client returns a client's configuration: it trusts the issuer, and shows these certificates,
// whatever the hub asks for.
func (ca *Issuer) Client(certs ...tls.Certificate) *tls.Config {
	config := &tls.Config{
		RootCAs: x509.NewCertPool(), ServerName: "127.0.0.1", Certificates: certs,
	}
	config.RootCAs.AddCert(ca.cert)
	if len(certs) > 0 {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &certs[0], nil
		}
	}
	return config
}

func (ca *Issuer) writePEM(tb testing.TB, name, kind string, der []byte) {
	tb.Helper()
	text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := os.WriteFile(filepath.Join(ca.Dir, name), text, 0o600); err != nil {
		tb.Fatal(err)
	}
}
