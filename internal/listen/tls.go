// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

// What TLS.ClientAuth may be.
const (
	AuthNone    = "none"
	AuthRequest = "request"
	AuthRequire = "require"
)

// What TLS.Identity may be.
const (
	IdentityDN = "distinguished_name"
	IdentityCN = "common_name"
)

const (
	// tlsTime is how much of the handshake time TLS may take (security.md).
	tlsTime = 5 * time.Second
	// tlsBytes bounds what a client may send before it has spoken TLS to the end: crypto/tls
	// alone would take certificates of 256 KiB.
	tlsBytes = 64 << 10
)

// TLS says how a listener speaks TLS. The zero value is no TLS.
type TLS struct {
	// Cert and Key are PEM files: the certificate with its chain, and its private key. They are
	// read again when they change.
	Cert, Key string
	// ClientCA is a PEM file of the certificates that may have issued those of clients.
	ClientCA string
	// ClientAuth says what clients have to show: none, request (a certificate is verified if there
	// is one) or require. Default: require with ClientCA, else none.
	ClientAuth string
	// Identity says whom a client's certificate names: distinguished_name (RFC 4514, as RabbitMQ
	// writes it) or common_name. Default distinguished_name.
	Identity string
}

// On reports whether anything is set.
func (o *TLS) On() bool { return *o != TLS{} }

// FieldError is what is wrong with one field of TLS or Limits.
type FieldError struct {
	// Field is its name in a configuration, such as client_ca.
	Field string
	Err   error
}

// Error returns both.
func (e *FieldError) Error() string { return e.Field + ": " + e.Err.Error() }

// Unwrap returns the fault without the name.
func (e *FieldError) Unwrap() error { return e.Err }

// Validate returns all faults at once, as *FieldError; the files are read for it.
func (o *TLS) Validate() []*FieldError {
	var faults []*FieldError
	fault := func(field, format string, args ...any) {
		faults = append(faults, &FieldError{field, fmt.Errorf(format, args...)})
	}
	choice := func(name, value string, from ...string) {
		if value != "" && !slices.Contains(from, value) {
			fault(name, "%q is not %s", value, strings.Join(from, ", "))
		}
	}
	if o.Cert == "" {
		fault("cert", "TLS needs a certificate")
	}
	if o.Key == "" {
		fault("key", "TLS needs the certificate's key")
	}
	choice("client_auth", o.ClientAuth, AuthNone, AuthRequest, AuthRequire)
	choice("identity", o.Identity, IdentityDN, IdentityCN)
	switch wanted := o.ClientAuth == AuthRequest || o.ClientAuth == AuthRequire; {
	case wanted && o.ClientCA == "":
		// Without it crypto/tls would trust every issuer that the system trusts.
		fault("client_ca", "client_auth %s needs it", o.ClientAuth)
	case o.ClientAuth == AuthNone && o.ClientCA != "":
		fault("client_auth", "none verifies nobody, and client_ca is set")
	}
	if len(faults) == 0 {
		if _, err := o.load(); err != nil {
			faults = append(faults, err)
		}
	}
	return faults
}

// identityOf returns whom a certificate names; one that names nobody or two has no identity.
func (o *TLS) identityOf(cert *x509.Certificate) string {
	var names pkix.RDNSequence
	if rest, err := asn1.Unmarshal(cert.RawSubject, &names); err != nil || len(rest) > 0 {
		return ""
	}
	if o.Identity != IdentityCN {
		return names.String()
	}
	name := ""
	for _, set := range names {
		for _, part := range set {
			if !part.Type.Equal(commonName()) {
				continue
			}
			text, ok := part.Value.(string)
			if !ok || name != "" {
				return ""
			}
			name = text
		}
	}
	return name
}

// commonName is id-at-commonName (RFC 5280 appendix A.1).
func commonName() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 5, 4, 3} }

// secure speaks TLS on connections, with the certificates as they are now.
type secure struct {
	options TLS
	files   *certificates
	config  *tls.Config
}

// newSecure reads the certificates. What changes later and is not sound is told to report.
func newSecure(o TLS, protocols []string, report func(msg string, args ...any)) (*secure, error) {
	files, err := newCertificates(o, report)
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	return &secure{options: o, files: files, config: &tls.Config{
		// The rest is in what this returns; session tickets alone are here, whose keys rotate.
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			return withProtocols(files.current(), hello.SupportedProtos, protocols), nil
		},
		MinVersion: tls.VersionTLS12,
	}}, nil
}

// withProtocols lets crypto/tls choose a protocol (ALPN, RFC 7301) where there is a choice. It would
// refuse clients that offer none of them, though other doors do not mind.
func withProtocols(config *tls.Config, offered, known []string) *tls.Config {
	if !slices.ContainsFunc(known, func(p string) bool { return slices.Contains(offered, p) }) {
		return config
	}
	config = config.Clone()
	config.NextProtos = known
	return config
}

// handshake returns the connection behind TLS, within the time and the bytes that a client has
// before login. It closes the socket when it fails.
func (t *secure) handshake(s *slot, plain *conn) (*conn, error) {
	if err := s.conn.SetDeadline(s.deadline(tlsTime)); err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	bounded := &boundedConn{Conn: plain, left: tlsBytes}
	secured := tls.Server(bounded, t.config)
	if err := secured.Handshake(); err != nil { //nolint:noctx // the deadline bounds it
		return nil, fmt.Errorf("tls: %w", err)
	}
	bounded.left = noLimit
	if err := s.conn.SetDeadline(time.Time{}); err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	s.limitRead()
	c := &conn{Conn: secured}
	if certs := secured.ConnectionState().PeerCertificates; len(certs) > 0 {
		c.identity = t.options.identityOf(certs[0]) // crypto/tls has verified it
	}
	return c, nil
}

// noLimit as a boundedConn's left ends the bound.
const noLimit = -1

// errTooLong ends a handshake that sends too much.
var errTooLong = fmt.Errorf("more than %d bytes before login", tlsBytes)

// boundedConn counts what is read, by one goroutine at a time.
type boundedConn struct {
	net.Conn
	left int // bytes
}

// Read reads no more than what is left.
func (c *boundedConn) Read(p []byte) (int, error) {
	if c.left == noLimit {
		return c.Conn.Read(p)
	}
	if c.left == 0 {
		return 0, errTooLong
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}
