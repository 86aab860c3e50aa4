// SPDX-License-Identifier: Apache-2.0

// Package disk looks at the disk below the brokers' data: what file system it is, how much a
// directory takes, and how long the disk itself takes to make 4 KiB durable.
//
// Caveat: it works on Linux only.
package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Usage returns how many bytes the files below dir occupy on the disk. Files that go while it looks
// count as gone.
func Usage(dir string) (uint64, error) {
	var sum uint64
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && info.Mode().IsRegular() {
			const blockBytes = 512 // of st_blocks, whatever the file system uses
			sum += uint64(st.Blocks) * blockBytes
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("usage of %s: %w", dir, err)
	}
	return sum, nil
}

// File systems by their magic number (statfs(2)).
const (
	magicExt     = 0xEF53
	magicXFS     = 0x58465342
	magicBtrfs   = 0x9123683E
	magicZFS     = 0x2FC12FC1
	magicOverlay = 0x794C7630
	magicTmpfs   = 0x01021994
	magicRamfs   = 0x858458F6
)

// FileSystem names the file system that dir lies on.
func FileSystem(dir string) (string, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return "", fmt.Errorf("file system of %s: %w", dir, err)
	}
	names := map[uint32]string{
		magicExt: "ext4", magicXFS: "xfs", magicBtrfs: "btrfs", magicZFS: "zfs",
		magicOverlay: "overlay", magicTmpfs: "tmpfs", magicRamfs: "ramfs",
	}
	magic := uint32(st.Type)
	if name, ok := names[magic]; ok {
		return name, nil
	}
	return fmt.Sprintf("file system %#x", magic), nil
}

// InMemory reports whether a file system of FileSystem keeps nothing on a disk.
func InMemory(fileSystem string) bool { return fileSystem == "tmpfs" || fileSystem == "ramfs" }

// Place returns the first of some directories that exists and lies on a disk.
func Place(dirs ...string) (string, error) {
	for _, dir := range dirs {
		if name, err := FileSystem(dir); err == nil && !InMemory(name) {
			return dir, nil
		}
	}
	return "", fmt.Errorf("none of %v is on a disk", dirs)
}
