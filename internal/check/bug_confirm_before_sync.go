// SPDX-License-Identifier: Apache-2.0

//go:build bug_confirm_before_sync

package check

// Bug is the mistake that this build makes.
const Bug = ConfirmBeforeSync
