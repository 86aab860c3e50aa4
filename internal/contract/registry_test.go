// SPDX-License-Identifier: Apache-2.0

package contract_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/parley-ipc/parley/internal/contract"
)

// entry makes a contract of one file.
func entry(tb testing.TB, vhost, name, text string, services map[string]string) *contract.Entry {
	tb.Helper()
	s := &contract.Source{Files: map[string]string{name + ".thrift": text}, Services: services}
	made, bound, err := s.Load(name)
	if err != nil {
		tb.Fatal(err)
	}
	return &contract.Entry{VHost: vhost, Contract: made, Services: bound, Source: s}
}

// TestRegistry: contracts are found by virtual host and service, replaced as a whole, and never two for
// one service.
func TestRegistry(t *testing.T) {
	t.Parallel()
	var r contract.Registry
	if r.Operations("/", "a") != nil || r.Entry("/", "x") != nil || r.List() != nil || r.Delete("/", "x") {
		t.Error("an empty registry has something")
	}
	for _, e := range []*contract.Entry{
		entry(t, "/", "x", "service a { void f() } service b { void g() }", nil),
		entry(t, "/", "y", "service a { void h() }", map[string]string{"c": "a"}),
		entry(t, "v", "x", "service a { void i() }", nil),
	} {
		if err := r.Put(e); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ vhost, service, method string }{
		{"/", "a", "f"}, {"/", "b", "g"}, {"/", "c", "h"}, {"v", "a", "i"},
	} {
		o := r.Operations(c.vhost, c.service)
		if o == nil || o.Method([]byte(c.method)) == nil {
			t.Errorf("no %s.%s in %s", c.service, c.method, c.vhost)
		}
	}
	if r.Operations("v", "b") != nil || r.Operations("/", "d") != nil {
		t.Error("a contract describes what it does not name")
	}

	old := r.Operations("/", "a")
	err := r.Put(entry(t, "/", "y", "service b {} service c {}", nil))
	if e, ok := errors.AsType[*contract.ConflictError](err); !ok || e.Service != "b" || e.Contract != "x" {
		t.Errorf("a second contract for b: %v", err)
	}
	if r.Operations("/", "c").Method([]byte("h")) == nil {
		t.Error("what was refused has changed something")
	}
	if err := r.Put(entry(t, "/", "x", "service a { void f2() }", nil)); err != nil {
		t.Fatal(err)
	}
	if r.Operations("/", "b") != nil || r.Operations("/", "a").Method([]byte("f2")) == nil ||
		old.Method([]byte("f")) == nil {
		t.Error("the contract was not replaced as a whole, or the old one changed under its users")
	}
	if err := r.Put(entry(t, "/", "y", "service b {}", nil)); err != nil {
		t.Errorf("a service that nobody describes any more: %v", err)
	}
	var names []string
	for _, e := range r.List() {
		names = append(names, e.VHost+e.Contract.Name)
	}
	if want := []string{"/x", "/y", "vx"}; !slices.Equal(names, want) {
		t.Errorf("list %v, want %v", names, want)
	}
	if !r.Delete("/", "x") || r.Operations("/", "a") != nil || r.Operations("v", "a") == nil {
		t.Error("delete")
	}
}

// TestRegistryWhileCallsRun: readers see one version or the next, never none and never a mixture.
func TestRegistryWhileCallsRun(t *testing.T) {
	t.Parallel()
	var r contract.Registry
	versions := make([]*contract.Entry, 2)
	for i := range versions {
		versions[i] = entry(t, "/", "x", fmt.Sprintf("service a { void f%d() } service b { void f%d() }",
			i, i), nil)
	}
	if err := r.Put(versions[0]); err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		wait.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				o := r.Operations("/", "a")
				if o == nil || o.Method([]byte("f0")) == nil && o.Method([]byte("f1")) == nil {
					t.Error("a reader saw no version")
					return
				}
			}
		})
	}
	for i := range 2000 {
		if err := r.Put(versions[i%2]); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	wait.Wait()
}

// TestLookupAllocatesNothing: each call looks up its service and its method.
func TestLookupAllocatesNothing(t *testing.T) { //nolint:paralleltest // it counts allocations
	var r contract.Registry
	if err := r.Put(entry(t, "/", "x", "service a { void f() }", nil)); err != nil {
		t.Fatal(err)
	}
	method := []byte("f")
	if n := testing.AllocsPerRun(100, func() {
		if r.Operations("/", "a").Method(method) == nil {
			t.Error("no method")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestReadSource: what was read from directories can be read again from the source alone, whatever
// directories they were.
func TestReadSource(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a/root.thrift":       `include "near/n.thrift" include "far.thrift" include "../up.thrift"` + "\nservice s { n.N f(1: far.F x, 2: up.U u) }",
		"a/near/n.thrift":     "struct N {}",
		"lib/x/far.thrift":    `include "deep/d.thrift"` + "\nstruct F { 1: d.D d }",
		"lib/x/deep/d.thrift": "struct D {}",
		"up.thrift":           "struct U {}",
	} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	include := []string{"lib/unused", "lib/x"}
	for _, root := range []string{"a/root.thrift", "lib/x/far.thrift", "lib/x/deep/d.thrift"} {
		files := os.DirFS(dir)
		program, err := contract.Load(files, root, contract.Options{IncludePath: include})
		if err != nil {
			t.Fatal(err)
		}
		source, err := contract.ReadSource(files, program, include)
		if err != nil {
			t.Fatal(err)
		}
		if root != "a/root.thrift" {
			source.Files[source.Root] += "\nservice s {}"
		}
		if _, _, err := source.Load("s"); err != nil {
			t.Errorf("%s: %v; %+v", root, err, source)
		}
	}
}

// TestSourceDirectories: as many directories are searched as a source may name, and no more.
func TestSourceDirectories(t *testing.T) {
	t.Parallel()
	s := &contract.Source{Files: map[string]string{"a.thrift": "service s {}"}}
	s.Include = make([]string, contract.SourceDirs)
	if _, _, err := s.Load("s"); err != nil {
		t.Error(err)
	}
	s.Include = append(s.Include, "one")
	if _, _, err := s.Load("s"); err == nil || err.Error() != "include: more than 64 directories" {
		t.Error(err)
	}
}
