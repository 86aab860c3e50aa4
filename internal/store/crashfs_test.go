// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"sync"

	"github.com/parley-ipc/parley/internal/store"
)

// blockBytes is what a disk writes whole or not at all.
const blockBytes = 512

// crashFS is a file system in memory that can lose what was not synced, as a power loss does.
type crashFS struct {
	mu      sync.Mutex
	names   map[string]*crashFile // what the process sees
	durable map[string]*crashFile // what the disk has
	pending []nameChange          // unsynced changes of names, in order
	locked  map[string]bool

	// ops counts operations that change something; fail, when not nil, may refuse one.
	ops  int
	fail func(op int, what, name string) error
}

// nameChange is a creation (from is empty), a rename, or a removal (to is empty).
type nameChange struct {
	from, to string
	file     *crashFile
}

// crashFile is the content of one file.
type crashFile struct {
	fs     *crashFS
	name   string
	data   []byte
	synced []byte
	dirty  map[int]struct{} // blocks of data that are not in synced
	shared bool             // data belongs to another file, see lazyClone
}

var _ store.FS = (*crashFS)(nil)

func newCrashFS() *crashFS {
	return &crashFS{
		names: map[string]*crashFile{}, durable: map[string]*crashFile{},
		locked: map[string]bool{},
	}
}

// operation counts one change and asks whether it fails; the lock is held.
func (c *crashFS) operation(what, name string) error {
	c.ops++
	if c.fail != nil {
		return c.fail(c.ops, what, name)
	}
	return nil
}

// crashClone returns what the disk has after a power loss: everything synced, and of the rest each
// block and each change of a name with probability p.
func (c *crashFS) crashClone(p float64, rng *rand.Rand) *crashFS {
	c.mu.Lock()
	defer c.mu.Unlock()
	clone := newCrashFS()
	names := maps.Clone(c.durable)
	for _, change := range c.pending {
		if rng.Float64() < p {
			change.apply(names)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		f := &crashFile{fs: clone, name: name, data: names[name].survivors(p, rng)}
		f.dirty, f.synced = map[int]struct{}{}, slices.Clone(f.data)
		clone.names[name], clone.durable[name] = f, f
	}
	return clone
}

// killClone returns what the system has after the end of the process: everything that was written.
func (c *crashFS) killClone() *crashFS {
	c.mu.Lock()
	defer c.mu.Unlock()
	clone := newCrashFS()
	copies := map[*crashFile]*crashFile{}
	copied := func(f *crashFile) *crashFile {
		if copies[f] == nil {
			copies[f] = &crashFile{
				fs: clone, name: f.name, data: slices.Clone(f.data), synced: slices.Clone(f.synced),
				dirty: maps.Clone(f.dirty),
			}
		}
		return copies[f]
	}
	for name, f := range c.names {
		clone.names[name] = copied(f)
	}
	for name, f := range c.durable {
		clone.durable[name] = copied(f)
	}
	for _, change := range c.pending {
		if change.file != nil {
			change.file = copied(change.file)
		}
		clone.pending = append(clone.pending, change)
	}
	return clone
}

// lazyClone is a killClone of what is durable. Its files share the bytes of c until they are written,
// so c must not be changed any more; who changes a file from outside asks it for its own bytes.
func (c *crashFS) lazyClone() *crashFS {
	clone := newCrashFS()
	for name, f := range c.names {
		f := &crashFile{
			fs: clone, name: name, data: f.data, dirty: map[int]struct{}{}, shared: true,
		}
		clone.names[name], clone.durable[name] = f, f
	}
	return clone
}

// own returns data that belongs to this file alone.
func (f *crashFile) own() []byte {
	if f.shared {
		f.data, f.synced, f.shared = slices.Clone(f.data), slices.Clone(f.data), false
	}
	return f.data
}

func (n nameChange) apply(names map[string]*crashFile) {
	switch {
	case n.to == "":
		delete(names, n.from)
	case n.from == "":
		names[n.to] = n.file
	default:
		delete(names, n.from)
		names[n.to] = n.file
	}
}

// survivors returns the synced content and, with probability p each, the blocks that are not; one in
// ten of these is torn.
func (f *crashFile) survivors(p float64, rng *rand.Rand) []byte {
	data := slices.Clone(f.synced)
	if len(f.data) > len(data) && rng.Float64() < p {
		data = append(data, make([]byte, len(f.data)-len(data))...)
	}
	for _, block := range slices.Sorted(maps.Keys(f.dirty)) {
		if rng.Float64() >= p {
			continue
		}
		from, to := block*blockBytes, min((block+1)*blockBytes, len(f.data))
		if rng.IntN(10) == 0 && p < 1 {
			to = from + rng.IntN(to-from)
		}
		if to > len(data) {
			data = append(data, make([]byte, to-len(data))...)
		}
		copy(data[from:to], f.data[from:to])
	}
	return data
}

// MakeDir implements store.FS.
func (c *crashFS) MakeDir(string) error { return nil }

// List implements store.FS.
func (c *crashFS) List(dir string) ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	for name := range c.names {
		if path.Dir(name) == dir {
			names = append(names, path.Base(name))
		}
	}
	slices.Sort(names)
	return names, nil
}

// Create implements store.FS.
func (c *crashFS) Create(name string) (store.Handle, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.operation("create", name); err != nil {
		return nil, err
	}
	f := &crashFile{fs: c, name: name, dirty: map[int]struct{}{}}
	c.names[name] = f
	c.pending = append(c.pending, nameChange{to: name, file: f})
	return f, nil
}

// Open implements store.FS.
func (c *crashFS) Open(name string) (store.Handle, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f, ok := c.names[name]; ok {
		return f, nil
	}
	return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
}

// Rename implements store.FS.
func (c *crashFS) Rename(from, to string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.operation("rename", from); err != nil {
		return err
	}
	f, ok := c.names[from]
	if !ok {
		return fmt.Errorf("%s: %w", from, fs.ErrNotExist)
	}
	delete(c.names, from)
	c.names[to], f.name = f, to
	c.pending = append(c.pending, nameChange{from: from, to: to, file: f})
	return nil
}

// Remove implements store.FS.
func (c *crashFS) Remove(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.operation("remove", name); err != nil {
		return err
	}
	delete(c.names, name)
	c.pending = append(c.pending, nameChange{from: name})
	return nil
}

// SyncDir implements store.FS.
func (c *crashFS) SyncDir(dir string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.operation("syncdir", dir); err != nil {
		return err
	}
	c.pending = slices.DeleteFunc(c.pending, func(n nameChange) bool {
		if path.Dir(cmp.Or(n.to, n.from)) != dir {
			return false
		}
		n.apply(c.durable)
		return true
	})
	return nil
}

// Lock implements store.FS.
func (c *crashFS) Lock(name string) (io.Closer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.locked[name] {
		return nil, fs.ErrExist
	}
	c.locked[name] = true
	return unlocker{c, name}, nil
}

type unlocker struct {
	fs   *crashFS
	name string
}

func (u unlocker) Close() error {
	u.fs.mu.Lock()
	defer u.fs.mu.Unlock()
	delete(u.fs.locked, u.name)
	return nil
}

// ReadAt implements io.ReaderAt.
func (f *crashFile) ReadAt(p []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if off >= int64(len(f.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.data[off:])
	if n < len(p) {
		return n, io.ErrUnexpectedEOF
	}
	return n, nil
}

// WriteAt implements io.WriterAt.
func (f *crashFile) WriteAt(p []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.operation("write", f.name); err != nil {
		return 0, err
	}
	f.own()
	end := int(off) + len(p)
	if end > len(f.data) {
		f.data = append(f.data, make([]byte, end-len(f.data))...)
	}
	copy(f.data[off:], p)
	for block := int(off) / blockBytes; block*blockBytes < end; block++ {
		f.dirty[block] = struct{}{}
	}
	return len(p), nil
}

// Sync implements store.Handle. When it fails the blocks count as clean all the same, as the kernel
// does it: no later Sync writes them.
func (f *crashFile) Sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.operation("sync", f.name); err != nil {
		clear(f.dirty)
		return err
	}
	if grown := len(f.data) - len(f.synced); grown > 0 && !f.shared {
		f.synced = append(f.synced, make([]byte, grown)...)
	}
	for block := range f.dirty {
		from, to := block*blockBytes, min((block+1)*blockBytes, len(f.data))
		copy(f.synced[from:to], f.data[from:to])
	}
	clear(f.dirty)
	return nil
}

// Size implements store.Handle.
func (f *crashFile) Size() (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return int64(len(f.data)), nil
}

// Close implements io.Closer.
func (f *crashFile) Close() error { return nil }
