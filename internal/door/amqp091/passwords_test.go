// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/auth"
	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// users checks passwords as the hub does.
type users struct{ *auth.Store }

func (u users) Login(user, password string, peer net.Addr) error {
	_, err := u.Store.Login(context.Background(), auth.Credentials{
		Name: user, Password: auth.NewSecret(password), Peer: auth.PeerOf(peer),
	})
	return err
}

func (u users) Admit(user string, peer net.Addr) error {
	_, err := u.Store.Admit(user, auth.PeerOf(peer))
	return err
}

// TestSecA12WrongPasswords: an address that failed as often as it may is let in with nothing more, not
// with the right password either, and always hears the same.
func TestSecA12WrongPasswords(t *testing.T) {
	t.Parallel()
	const burst = 10
	times := 10_000
	if testing.Short() {
		times = 1_000
	}
	for _, tc := range []struct {
		name    string
		wrong   int
		welcome bool
	}{{"N-1", burst - 1, true}, {"N", burst, false}, {"N+1", burst + 1, false}, {"flood", times, false}} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			known, err := auth.New(auth.Options{
				FailDelay: -1, FailBurst: burst, FailInterval: time.Hour, LimitLoopback: true,
			})
			if err != nil {
				t.Fatal(err)
			}
			s := newServer(t, Options{Auth: users{known}})
			for range tc.wrong {
				p := s.connect(t)
				p.write([]byte(wire.ProtocolHeader))
				p.start("guest", "wrong")
				p.wantClose(wire.AccessRefused, "Login was refused using authentication mechanism "+
					"PLAIN. For details see the broker logfile.")
				_ = p.nc.Close()
			}
			p := s.connect(t)
			p.write([]byte(wire.ProtocolHeader))
			p.start("guest", "guest")
			if tc.welcome {
				p.want(0, &wire.ConnectionTune{})
				return
			}
			p.wantClose(wire.AccessRefused, "Login was refused using authentication mechanism "+
				"PLAIN. For details see the broker logfile.")
		})
	}
}
