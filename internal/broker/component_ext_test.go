// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

// TestComponent: who owns a component of parameters says what is set and how much, and learns of every
// change, also that a virtual host goes; what the log has is not asked about.
func TestComponent(t *testing.T) {
	t.Parallel()
	const name = "toys"
	log := store.NewMemory(store.MemoryOptions{Retain: true})
	errBroken := errors.New("it is broken")
	open := func(check func(vhost, toy string, value []byte) error) *broker.Broker {
		b := broker.New(broker.Options{
			Clock: clock{}, Log: log,
			Components: map[string]broker.Component{
				name: {Bytes: 100 << 10, Total: 150 << 10, Check: check},
			},
		})
		log.Bind(b)
		if err := b.Recover(); err != nil {
			t.Fatal(err)
		}
		return b
	}
	b := open(func(vhost, toy string, value []byte) error {
		if vhost == "/" && toy == "bear" && string(value) == `"broken"` {
			return errBroken
		}
		return nil
	})
	changed := func(want bool) {
		t.Helper()
		select {
		case <-b.ComponentChanged(name):
			if !want {
				t.Error("a change that was none")
			}
		default:
			if want {
				t.Error("a change that nobody was told of")
			}
		}
	}
	v, _ := b.VirtualHost("/")
	value := func(n int) []byte { return []byte(`"` + strings.Repeat("x", n-2) + `"`) }
	set := func(toy string, value []byte) error {
		_, err := v.SetParameter(broker.Parameter{Component: name, Name: toy, Value: value})
		return err
	}
	for _, c := range []struct {
		toy   string
		value []byte
		code  broker.Code
	}{
		{"bear", []byte(`"broken"`), broker.CodeBadRequest},
		{"bear", value(100<<10 + 1), broker.CodeBadRequest},
		{"bear", value(100 << 10), 0},
		{"doll", value(50 << 10), 0},
		{"doll", value(50<<10 + 1), broker.CodeLimit},
		{"bear", value(10), 0}, // which makes room
		{"doll", value(60 << 10), 0},
	} {
		err := set(c.toy, c.value)
		if c.code == 0 && err != nil || c.code != 0 && !errors.Is(err, &broker.Error{Code: c.code}) {
			t.Errorf("%s of %d bytes: %v", c.toy, len(c.value), err)
		}
		changed(c.code == 0)
	}
	if _, err := v.SetParameter(broker.Parameter{
		Component: "other", Name: "x", Value: value(64<<10 + 1),
	}); err == nil {
		t.Error("another component has the same limit")
	}
	changed(false)
	if b.ComponentChanged("other") != nil {
		t.Error("a component that nobody owns")
	}
	if err := v.DeleteParameter(name, "doll"); err != nil {
		t.Error(err)
	}
	changed(true)
	other, err := b.AddVirtualHost("v")
	if err != nil {
		t.Fatal(err)
	}
	_, err = other.SetParameter(broker.Parameter{Component: name, Name: "bear", Value: []byte(`"broken"`)})
	if err != nil {
		t.Error(err)
	}
	changed(true)
	if err := b.DeleteVirtualHost("v"); err != nil {
		t.Error(err)
	}
	changed(true)
	b.Close()

	again := open(func(string, string, []byte) error { return errBroken })
	defer again.Close()
	v, _ = again.VirtualHost("/")
	if all := v.Parameters(name); len(all) != 1 || all[0].Name != "bear" {
		t.Errorf("after a restart: %v", all)
	}
}
