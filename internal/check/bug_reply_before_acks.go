// SPDX-License-Identifier: Apache-2.0

//go:build bug_reply_before_acks

package check

// Bug is the mistake that this build makes.
const Bug = ReplyBeforeAcks
