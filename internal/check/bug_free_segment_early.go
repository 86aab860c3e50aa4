// SPDX-License-Identifier: Apache-2.0

//go:build bug_free_segment_early

package check

// Bug is the mistake that this build makes.
const Bug = FreeSegmentEarly
