// SPDX-License-Identifier: Apache-2.0

package doors

import (
	"crypto/tls"
	"path/filepath"
	"testing"

	"github.com/parley-ipc/parley/hub"
	"github.com/parley-ipc/parley/test/harness"
)

// issuer is a certificate authority.
type issuer struct{ *harness.Issuer }

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	return &issuer{harness.NewIssuer(t)}
}

// hubTLS is a hub's configuration with a certificate of its own.
func (ca *issuer) hubTLS(t *testing.T) hub.TLS {
	t.Helper()
	ca.Issue(t, "hub", nil)
	return hub.TLS{
		Cert: filepath.Join(ca.Dir, "hub.pem"), Key: filepath.Join(ca.Dir, "hub.key"),
	}
}

// client is a client's configuration, with a certificate where it has a name.
func (ca *issuer) client(t *testing.T, name string) *tls.Config {
	t.Helper()
	if name == "" {
		return ca.Client()
	}
	return ca.Client(ca.Issue(t, name, nil))
}
