// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// row is one fault of the programme. Its share of the time is its weight among all.
type row struct {
	number, what string
	weight       int
	suites       []suite
}

func rows() []row {
	return []row{
		{"01", "simulated crashes", 3, []suite{store("TestRow01")}},
		{"02", "kill -9 under load", 4, []suite{durability("TestRow02")}},
		{"03", "power loss", 3, []suite{durability("TestRow03")}},
		{"04", "torn tail", 1, []suite{store("TestRow04|Test(Random|Large)Damage/Row04")}},
		{"05", "bit flips", 1, []suite{store("TestRow05|Test(Random|Large)Damage/Row05")}},
		{"06", "disk full", 1, []suite{durability("TestRow06")}},
		{"07", "slow and failing disk", 1, []suite{store("TestRow07"), durability("TestRow07")}},
		{"08", "descriptors", 1, []suite{durability("TestRow08")}},
		{"09", "slow consumers", 1, []suite{durability("TestRow09")}},
		{"10", "consumer flood", 1, []suite{durability("TestRow10")}},
		{"11", "churn", 1, []suite{durability("TestRow11")}},
		{"12", "deep backlog", 1, []suite{durability("TestRow12")}},
		{"13", "poison", 1, []suite{durability("TestRow13")}},
	}
}

const (
	resultsHead = "row\tcycles\tseeds\tviolations\tskips\tseconds\tcommit\n"
	// spareTime is what a row may take longer than its share: its fewest cycles, and the build.
	spareTime = 10 * time.Minute
	// ruleOfThree: n clean cycles bound the rate of failures by 3/n, at 95 %.
	ruleOfThree = 3
)

// programme runs the rows and reports whether none was violated.
func (r *runner) programme(ctx context.Context, s settings, only *regexp.Regexp) (bool, error) {
	commit, err := r.commit(ctx, s.results)
	if err != nil {
		return false, err
	}
	var list []row
	sum := 0
	for _, row := range rows() {
		if only.MatchString(row.number) {
			list = append(list, row)
			sum += row.weight
		}
	}
	fmt.Fprintf(r.out, "%-3s %-22s %9s %9s %10s %5s %8s  %s\n", "row", "fault", "cycles", "seeds",
		"violations", "skips", "seconds", "failures, at 95 %")
	clean := true
	for _, row := range list {
		o := r.row(ctx, row, s.programme*time.Duration(row.weight)/time.Duration(sum))
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		bound := "-"
		if o.cycles > ruleOfThree && o.violations == 0 {
			bound = fmt.Sprintf("< %.3g %%", 100*float64(ruleOfThree)/float64(o.cycles))
		}
		fmt.Fprintf(r.out, "%-3s %-22s %9d %9d %10d %5d %8.0f  %s\n", row.number, row.what, o.cycles,
			o.seeds, o.violations, o.skips, o.took.Seconds(), bound)
		for _, note := range o.notes {
			fmt.Fprintln(r.out, "    "+note)
		}
		if o.failed {
			clean = false
			fmt.Fprintln(r.out, o.report())
		}
		line := fmt.Sprintf("%s\t%d\t%d\t%d\t%d\t%.0f\t%s\n", row.number, o.cycles, o.seeds,
			o.violations, o.skips, o.took.Seconds(), commit)
		results := s.results
		if filepath.IsLocal(results) {
			results = filepath.Join(r.root, results)
		}
		if err := appendLine(results, line); err != nil {
			return false, err
		}
	}
	return clean, nil
}

// row runs the suites of a row, each for its part of the time.
func (r *runner) row(ctx context.Context, row row, share time.Duration) (sum outcome) {
	for _, s := range row.suites {
		part := share / time.Duration(len(row.suites))
		o := r.test(ctx, s, nil, []string{
			"-timeout=" + (part + spareTime).String(), "-for=" + part.String(),
		})
		sum.failed = sum.failed || o.failed
		sum.cycles += o.cycles
		sum.seeds += o.seeds
		sum.violations += o.violations
		sum.skips += o.skips
		sum.took += o.took
		sum.notes = append(sum.notes, o.notes...)
		sum.output = append(sum.output, o.output...)
	}
	return sum
}

// commit names what is tested; a plus says that files differ from it.
func (r *runner) commit(ctx context.Context, results string) (string, error) {
	git := func(args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, "git", args...)
		cmd.Dir = r.root
		b, err := cmd.Output()
		return strings.TrimSpace(string(b)), err
	}
	name, err := git("rev-parse", "--short", "HEAD")
	if err != nil {
		return "", fmt.Errorf("git: %w", err)
	}
	paths := []string{"status", "--porcelain", "--", "."}
	if filepath.IsLocal(results) {
		paths = append(paths, ":!"+results) // the lines of earlier runs
	}
	changed, err := git(paths...)
	if changed != "" {
		name += "+"
	}
	return name, err
}

func appendLine(name, line string) error {
	if _, err := os.Stat(name); err != nil {
		line = resultsHead + line
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(line); err != nil {
		return err
	}
	return f.Close()
}
