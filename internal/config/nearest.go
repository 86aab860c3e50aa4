// SPDX-License-Identifier: Apache-2.0

package config

import "fmt"

// maxNameBytes bounds the names that are compared; longer ones are nobody's slip.
const maxNameBytes = 128

// suggest returns `; did you mean "x"?`, or nothing when no known name is near.
func suggest(name string, known []string) string {
	if n := Nearest(name, known); n != "" {
		return fmt.Sprintf("; did you mean %q?", n)
	}
	return ""
}

// Nearest returns the known name with the fewest slips to name, if they are few for its length.
func Nearest(name string, known []string) string {
	if len(name) > maxNameBytes {
		return ""
	}
	best, fewest := "", max(2, len(name)/3)+1
	for _, k := range known {
		if n := distance(name, k); n < fewest {
			best, fewest = k, n
		}
	}
	return best
}

// distance counts the bytes to add, drop or change, and neighbours to swap, between a and b.
func distance(a, b string) int {
	before := make([]int, len(b)+1) // two rows up, for swaps
	above := make([]int, len(b)+1)
	row := make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, above, row = above, row, before
	}
	return above[len(b)]
}
