// SPDX-License-Identifier: Apache-2.0

package store

import "io"

// FS is what the log needs of a file system, and the seam at which tests crash it and break it.
// Names are paths with slashes. Errors of a full disk satisfy [IsFull].
type FS interface {
	// MakeDir makes a directory and its parents, if they do not exist.
	MakeDir(name string) error
	// List returns the names of the files in a directory, sorted.
	List(dir string) ([]string, error)
	// Create makes a new file that is open for reading and writing; an old one is cut to nothing.
	Create(name string) (Handle, error)
	// Open opens a file that exists for reading and writing.
	Open(name string) (Handle, error)
	// Rename gives a file a new name. It is durable after SyncDir.
	Rename(from, to string) error
	// Remove takes a file away. It is durable after SyncDir.
	Remove(name string) error
	// SyncDir makes the names in a directory durable.
	SyncDir(dir string) error
	// Lock takes the lock file, or says who holds it. Closing gives it back.
	Lock(name string) (io.Closer, error)
}

// Handle is an open file. ReadAt and WriteAt may be called by several goroutines.
type Handle interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Sync makes what was written durable (fdatasync). After an error nothing that was written
	// before can be trusted, and a later Sync proves nothing.
	Sync() error
	// Size returns the length of the file.
	Size() (int64, error)
}
