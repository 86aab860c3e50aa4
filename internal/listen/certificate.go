// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

const (
	// certificatePause is the time between two looks at the files.
	certificatePause = time.Second
	// certificateBytes bounds a file.
	certificateBytes = 1 << 20
)

// certificates are what a listener shows and verifies, as the files say: they are looked at when a
// client comes, and read again when they have changed. Files that are not sound change nothing.
type certificates struct {
	options TLS
	report  func(msg string, args ...any)

	mu     sync.Mutex
	config *tls.Config
	looked time.Time
	stamps []os.FileInfo // of the files that were read last, sound or not
}

func newCertificates(o TLS, report func(string, ...any)) (*certificates, error) {
	c := &certificates{options: o, report: report, looked: time.Now()}
	c.stamps, _ = o.stamps() // a file that is not there fails in load
	config, fault := o.load()
	if fault != nil {
		return nil, fault
	}
	c.config = config
	return c, nil
}

// current returns the settings for a new connection.
func (c *certificates) current() *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if now.Sub(c.looked) < certificatePause {
		return c.config
	}
	c.looked = now
	stamps, err := c.options.stamps()
	if err != nil || same(c.stamps, stamps) {
		return c.config // a file that is being replaced is not there for a moment
	}
	c.stamps = stamps
	config, fault := c.options.load()
	if fault != nil {
		c.report("the new certificate files are not used", "error", fault)
		return c.config
	}
	c.config = config
	c.report("certificate files were read again", "cert", c.options.Cert)
	return config
}

// names are the files in use.
func (o *TLS) names() []string {
	names := []string{o.Cert, o.Key}
	if o.ClientCA != "" {
		names = append(names, o.ClientCA)
	}
	return names
}

// stamps tells one state of the files from another.
func (o *TLS) stamps() ([]os.FileInfo, error) {
	names := o.names()
	stamps := make([]os.FileInfo, len(names))
	for i, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			return nil, fmt.Errorf("look at certificate: %w", err)
		}
		stamps[i] = info
	}
	return stamps, nil
}

func same(a, b []os.FileInfo) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !os.SameFile(a[i], b[i]) || a[i].Size() != b[i].Size() ||
			!a[i].ModTime().Equal(b[i].ModTime()) {
			return false
		}
	}
	return true
}

// load reads the files.
func (o *TLS) load() (*tls.Config, *FieldError) {
	chain, err := readFile("cert", o.Cert)
	if err != nil {
		return nil, err
	}
	key, err := readFile("key", o.Key)
	if err != nil {
		return nil, err
	}
	pair, bad := tls.X509KeyPair(chain, key)
	if bad != nil {
		return nil, &FieldError{"cert", fmt.Errorf("%s with %s: %w", o.Cert, o.Key, bad)}
	}
	config := &tls.Config{
		Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12,
	}
	if o.ClientCA == "" {
		return config, nil
	}
	text, err := readFile("client_ca", o.ClientCA)
	if err != nil {
		return nil, err
	}
	config.ClientCAs = x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(text) {
		return nil, &FieldError{"client_ca", fmt.Errorf("%s holds no certificate", o.ClientCA)}
	}
	config.ClientAuth = tls.RequireAndVerifyClientCert
	if o.ClientAuth == AuthRequest {
		config.ClientAuth = tls.VerifyClientCertIfGiven
	}
	// A session that is resumed shows no certificate: it would outlive its issuer's place in the file.
	config.SessionTicketsDisabled = true
	return config, nil
}

// readFile reads one file of bounded size.
func readFile(field, name string) ([]byte, *FieldError) {
	text, err := os.ReadFile(name)
	var path *os.PathError
	switch {
	case errors.As(err, &path):
		return nil, &FieldError{field, fmt.Errorf("%s: %w", name, path.Err)}
	case err != nil:
		return nil, &FieldError{field, err}
	case len(text) > certificateBytes:
		return nil, &FieldError{field, fmt.Errorf("%s has more than %d bytes", name, certificateBytes)}
	}
	return text, nil
}
