// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"slices"
	"testing"

	"github.com/parley-ipc/parley/internal/auth"
	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

// keptLog is a log in memory that outlives its hub.
type keptLog struct{ *store.Memory }

func (keptLog) Close() error { return nil }

// TestAdminSurvives: users and virtual hosts are there after a restart.
func TestAdminSurvives(t *testing.T) {
	t.Parallel()
	log := keptLog{store.NewMemory(store.MemoryOptions{Retain: true})}
	start := func() *Hub {
		h, err := newHub(doors(), func(*Hub) (boundLog, error) { return log, nil })
		if err == nil {
			err = h.Start(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	h := start()
	ada := User{Name: "ada", Permissions: map[string]Permission{
		"kept": auth.AllPermissions(), "gone": auth.AllPermissions(),
	}}
	for _, err := range []error{
		h.AddVirtualHost("kept"), h.AddVirtualHost("gone"), h.Users().Put(ada),
		h.Users().SetPassword(t.Context(), "ada", auth.NewSecret("secret")),
		h.DeleteVirtualHost("gone"), h.Users().Delete("guest"), h.Shutdown(t.Context()),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	h = start()
	if users := h.Users().Users(); len(users) != 1 || users[0].Name != "ada" ||
		len(users[0].Permissions) != 1 {
		t.Errorf("users %+v", users)
	}
	if err := (login{h.users}).Login("ada", "secret", nil); err != nil {
		t.Errorf("login: %v", err)
	}
	if !slices.ContainsFunc(h.broker.VirtualHosts(), func(v *broker.VirtualHost) bool {
		return v.Name() == "kept"
	}) || len(h.broker.VirtualHosts()) != 2 {
		t.Error("the virtual hosts are not the ones that were left")
	}
	if err := h.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
