// SPDX-License-Identifier: Apache-2.0

//go:build !bug_drop_fdatasync && !bug_confirm_before_sync && !bug_drop_dir_sync && !bug_skip_checksum && !bug_keep_torn_tail && !bug_reply_before_acks && !bug_requeue_at_tail && !bug_lose_redelivered && !bug_free_segment_early && !bug_swallow_no_space && !bug_retry_sync && !bug_publish_twice

package check

// Bug is the mistake that this build makes: none.
const Bug = NoBug
