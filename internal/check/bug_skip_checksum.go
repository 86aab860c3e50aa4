// SPDX-License-Identifier: Apache-2.0

//go:build bug_skip_checksum

package check

// Bug is the mistake that this build makes.
const Bug = SkipChecksum
