// SPDX-License-Identifier: Apache-2.0

//go:build bug_swallow_no_space

package check

// Bug is the mistake that this build makes.
const Bug = SwallowNoSpace
