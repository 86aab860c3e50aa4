// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"testing"

	"github.com/parley-ipc/parley/internal/store"
)

// A push subscription outlives the process, is told of when it changes, and is not among the
// parameters that a policymaker may list and set.
func TestSubscriptions(t *testing.T) {
	t.Parallel()
	log := store.NewMemory(store.MemoryOptions{Retain: true, Clock: clock{}})
	b, _ := mortal(t, log)
	v, _ := b.VirtualHost("/")
	told := func() {
		t.Helper()
		select {
		case <-b.SubscriptionsChanged():
		default:
			t.Error("nobody was told")
		}
	}
	if created, err := v.SetSubscription("s", []byte(`{"secret":1}`)); err != nil || !created {
		t.Fatal(created, err)
	}
	told()
	if created, err := v.SetSubscription("s", []byte(`{"secret":2}`)); err != nil || created {
		t.Fatal(created, err)
	}
	told()
	list := v.Subscriptions()
	if len(list) != 1 || string(list[0].Value) != `{"secret":2}` {
		t.Errorf("subscriptions %+v", list)
	}
	for _, component := range []string{"", list[0].Component} {
		if shown := v.Parameters(component); len(shown) != 0 {
			t.Errorf("parameters of %q show %+v", component, shown)
		}
	}
	if _, err := v.SetParameter(list[0]); err == nil {
		t.Error("it was set as a parameter")
	}
	if err := v.DeleteParameter(list[0].Component, "s"); err == nil {
		t.Error("it was deleted as a parameter")
	}
	b.Close()
	b, _ = mortal(t, log)
	defer b.Close()
	v, _ = b.VirtualHost("/")
	told()
	if value, ok := v.Subscription("s"); !ok || string(value) != `{"secret":2}` {
		t.Errorf("recovered %q, %t", value, ok)
	}
	if err := v.DeleteSubscription("s"); err != nil {
		t.Fatal(err)
	}
	told()
	if _, ok := v.Subscription("s"); ok {
		t.Error("it is still there")
	}
	if err := v.DeleteSubscription("s"); err == nil {
		t.Error("it was deleted twice")
	}
}
