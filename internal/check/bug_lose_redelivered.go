// SPDX-License-Identifier: Apache-2.0

//go:build bug_lose_redelivered

package check

// Bug is the mistake that this build makes.
const Bug = LoseRedelivered
