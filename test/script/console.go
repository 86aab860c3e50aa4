// SPDX-License-Identifier: Apache-2.0

package script

import (
	"fmt"
	"strings"
)

// A Command is a line of a console block and the output shown under it.
type Command struct {
	Line   int    // in the file, from 1
	Text   string // without the `$ `; lines joined by a backslash stay joined
	Output []string
}

// Parse returns the commands of all console blocks of a Markdown text.
func Parse(markdown string) ([]Command, error) {
	var commands []Command
	inside := false
	for i, line := range strings.Split(markdown, "\n") {
		switch {
		case strings.HasPrefix(line, "```"):
			inside = !inside && strings.TrimPrefix(line, "```") == "console"
		case !inside:
		case strings.HasPrefix(line, "$ "):
			commands = append(commands, Command{Line: i + 1, Text: strings.TrimPrefix(line, "$ ")})
		case len(commands) == 0:
			return nil, fmt.Errorf("line %d: output without a command", i+1)
		default:
			last := &commands[len(commands)-1]
			if strings.HasSuffix(last.Text, `\`) && len(last.Output) == 0 {
				last.Text += "\n" + strings.TrimPrefix(line, "> ")
			} else {
				last.Output = append(last.Output, line)
			}
		}
	}
	return commands, nil
}

// Match says whether got is what was shown: `...` alone on a line stands for any
// lines, inside a line for any text. Empty lines at the end do not count.
func Match(shown, got []string) bool {
	shown, got = trim(shown), trim(got)
	if len(shown) == 0 {
		return len(got) == 0
	}
	if strings.TrimSpace(shown[0]) == "..." {
		for i := range len(got) + 1 {
			if Match(shown[1:], got[i:]) {
				return true
			}
		}
		return false
	}
	return len(got) > 0 && matchLine(shown[0], got[0]) && Match(shown[1:], got[1:])
}

func trim(lines []string) []string {
	for len(lines) > 0 && strings.TrimSpace(lines[len(lines)-1]) == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

// matchLine matches the parts between the wildcards in order.
func matchLine(shown, got string) bool {
	shown, got = strings.TrimRight(shown, " \t\r"), strings.TrimRight(got, " \t\r")
	parts := strings.Split(shown, "...")
	if len(parts) == 1 {
		return shown == got
	}
	got, ok := strings.CutPrefix(got, parts[0])
	if !ok {
		return false
	}
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(got, part)
		if i < 0 {
			return false
		}
		got = got[i+len(part):]
	}
	return strings.HasSuffix(got, parts[len(parts)-1])
}

// compare returns an error that shows both sides when they do not match.
func compare(shown, got []string) error {
	if Match(shown, got) {
		return nil
	}
	return fmt.Errorf("shown:\n  %s\nprinted:\n  %s",
		strings.Join(shown, "\n  "), strings.Join(trim(got), "\n  "))
}
