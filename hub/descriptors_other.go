// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package hub

// descriptors returns how many files the process may have open, or 0 when nobody says.
func descriptors() int { return 0 }

// openDescriptors returns how many files the process has open, or 0 when nobody says.
func openDescriptors() int { return 0 }
