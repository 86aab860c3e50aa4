// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package listen

// chmodDescriptor does nothing here: access is the directory's.
func chmodDescriptor(uintptr) {}
