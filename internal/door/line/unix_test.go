// SPDX-License-Identifier: Apache-2.0

package line

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// security.md L8: on a Unix socket the process's owner is the user, as the hub knows him; anybody else
// has to say who he is.
func TestSecL8PeerCredentials(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("SO_PEERCRED is Linux's")
	}
	serve := func(name string, known bool) *hub {
		return newHub(t, setup{
			network: "unix", address: filepath.Join(t.TempDir(), name),
			options: func(o *Options) {
				o.PeerUser = func(uid uint32) (string, bool) {
					if int(uid) != os.Getuid() {
						t.Errorf("the process's owner is %d, want %d", uid, os.Getuid())
					}
					return "owner", known
				}
			},
		})
	}
	h := serve("known", true)
	h.dial().do(`{"op":"hello","id":1}`, `{"id":1,"version":"1","user":"owner",...`)
	h.dial().do(hello("ada", ""), `{"id":"h","version":"1","user":"ada",...`)
	h = serve("wrong", false)
	c := h.dial()
	c.do(`{"op":"ping","id":1}`, `{"id":1,"error":{"code":"unauthenticated","message":"a hello with user and`+
		` password is needed"}}`)
	c.ends()
	h.dial().do(hello("ada", ""), `{"id":"h","version":"1","user":"ada",...`)
}
