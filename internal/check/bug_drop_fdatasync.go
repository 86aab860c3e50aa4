// SPDX-License-Identifier: Apache-2.0

//go:build bug_drop_fdatasync

package check

// Bug is the mistake that this build makes.
const Bug = DropFdatasync
