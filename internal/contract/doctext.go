// SPDX-License-Identifier: Apache-2.0

package contract

import "strings"

// cleanDoc takes the decoration off a documentation comment, as clean_up_doctext of the compiler's
// main.cc does: a column of stars, the indentation that all lines share, space at the ends of lines.
// text is what stands between `/**` and `*/`; each line of the result ends with a line feed.
func cleanDoc(text string) string {
	lines := strings.Split(strings.ReplaceAll(text, "\r", ""), "\n")
	if last := len(lines) - 1; blank(lines[last]) {
		lines = lines[:last]
	}
	if len(lines) == 0 {
		return ""
	}
	lines[0] = strings.TrimLeft(lines[0], space)
	rest := lines[1:]
	for i, line := range rest {
		if blank(line) {
			rest[i] = ""
		}
	}
	if column, ok := starColumn(rest); ok {
		for i, line := range rest {
			rest[i] = line[min(column+1, len(line)):]
		}
	}
	shared := -1
	for _, line := range rest {
		if indent := indentation(line); !blank(line) && (shared < 0 || indent < shared) {
			shared = indent
		}
	}
	for i, line := range rest {
		rest[i] = line[min(max(shared, 0), len(line)):]
	}
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, space)
	}
	if lines[0] == "" {
		lines = lines[1:]
	}
	if len(lines) == 0 {
		return ""
	}
	return strings.ToValidUTF8(strings.Join(lines, "\n")+"\n", "\uFFFD")
}

const space = " \t"

func blank(line string) bool { return strings.Trim(line, space) == "" }

func indentation(line string) int { return len(line) - len(strings.TrimLeft(line, space)) }

// starColumn returns the column in which every line has a star, but for those that are empty.
func starColumn(lines []string) (int, bool) {
	column := -1
	for _, line := range lines {
		if line == "" {
			continue
		}
		indent := indentation(line)
		if line[indent] != '*' || column >= 0 && indent != column {
			return 0, false
		}
		column = indent
	}
	return column, column >= 0
}
