// SPDX-License-Identifier: Apache-2.0

//go:build bug_requeue_at_tail

package check

// Bug is the mistake that this build makes.
const Bug = RequeueAtTail
