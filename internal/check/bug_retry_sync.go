// SPDX-License-Identifier: Apache-2.0

//go:build bug_retry_sync

package check

// Bug is the mistake that this build makes.
const Bug = RetrySync
