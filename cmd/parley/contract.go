// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/parley-ipc/parley/internal/contract"
)

func (a *app) contractCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "contract",
		Short: "Check Thrift IDL, and what a next version of it breaks",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var include []string
	check := &cobra.Command{
		Use:   "check FILE...",
		Short: "Say whether files of Thrift IDL, with what they include, are valid",
		Long: "Read files of Thrift IDL, with what they include, and show what each holds. Every fault is\n" +
			"a line with file, line and column. No hub is needed.\n\n" + exitHelp,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("usage: %s", cmd.UseLine())
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error { return a.checkContracts(args, include) },
	}
	diff := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Show what a new version of Thrift IDL breaks",
		Long: "Compare two versions of a file of Thrift IDL, with what they include, by the rules of\n" +
			"thrift --audit and a few more. The level of a change is error when callers or services of the\n" +
			"old version stop working, else warning. With an error the command fails (1).\n\n" + exitHelp,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usagef("usage: %s", cmd.UseLine())
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			return a.diffContracts(args[0], args[1], include)
		},
	}
	for _, verb := range []*cobra.Command{check, diff} {
		verb.Flags().StringArrayVarP(&include, "include", "I", nil,
			"a directory to search for included files; may be repeated")
	}
	cmd.AddCommand(check, diff)
	return cmd
}

// checkContracts reads every file, also after one with faults.
func (a *app) checkContracts(files, include []string) error {
	var faults []error
	p := a.printer()
	for _, name := range files {
		program, err := loadContract(name, include)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		functions, warnings := 0, 0
		for _, s := range program.Services {
			functions += len(s.Functions)
		}
		for _, file := range program.Files() {
			for _, w := range file.Warnings {
				warnings++
				w.Pos = shownPosition(w.Pos)
				a.note("warning: %v", w)
			}
		}
		err = p.put(row{
			{"file", name},
			{"includes", len(program.Files()) - 1},
			{"services", len(program.Services)},
			{"functions", functions},
			{"structs", len(program.Structs)},
			{"enums", len(program.Enums)},
			{"warnings", warnings},
		}, []byte(name+"\n"))
		if err != nil {
			return err
		}
	}
	return errors.Join(faults...)
}

func (a *app) diffContracts(from, to string, include []string) error {
	old, err := loadContract(from, include)
	if err != nil {
		return err
	}
	next, err := loadContract(to, include)
	if err != nil {
		return err
	}
	p := a.printer()
	changes := contract.Compare(old, next)
	for _, c := range changes {
		c.Pos = shownPosition(c.Pos)
		level := "warning"
		if c.Breaking {
			level = "error"
		}
		r := row{
			{"level", level},
			{"rule", string(c.Rule)},
			{"at", c.Pos.String()},
			{"text", c.Text},
		}
		if err := p.put(r, []byte(c.String()+"\n")); err != nil {
			return err
		}
	}
	if n := len(contract.Breaks(changes)); n > 0 {
		return fmt.Errorf("%s breaks what %s promises, %d times", to, from, n)
	}
	return nil
}

// loadContract reads a file of this machine. What it includes may lie anywhere: the files are the
// user's own.
func loadContract(name string, include []string) (*contract.Program, error) {
	if _, err := os.Stat(name); err != nil {
		return nil, err
	}
	file, err := belowRoot(name)
	if err != nil {
		return nil, err
	}
	var o contract.Options
	for _, dir := range include {
		below, err := belowRoot(dir)
		if err != nil {
			return nil, err
		}
		o.IncludePath = append(o.IncludePath, below)
	}
	program, err := contract.Load(os.DirFS(fileRoot()), file, o)
	if faults, ok := errors.AsType[contract.Errors](err); ok {
		for _, e := range faults {
			e.Pos = shownPosition(e.Pos)
		}
	}
	return program, err
}

// fileRoot is the directory that holds all others, on the volume of the working directory.
func fileRoot() string {
	const here = "."
	abs, err := filepath.Abs(here)
	if err != nil { // the working directory is gone; names from the root are still good
		abs = ""
	}
	return filepath.VolumeName(abs) + string(filepath.Separator)
}

// belowRoot is a path as io/fs has it.
func belowRoot(name string) (string, error) {
	abs, err := filepath.Abs(name)
	if err != nil {
		return "", err
	}
	below, ok := strings.CutPrefix(abs, fileRoot())
	switch {
	case !ok:
		return "", fmt.Errorf("%s is on another volume than the working directory", name)
	case below == "":
		return ".", nil
	}
	return filepath.ToSlash(below), nil
}

// shownPosition names a file as one would type it: from the working directory, if it is below that.
func shownPosition(pos contract.Position) contract.Position {
	abs := filepath.Join(fileRoot(), filepath.FromSlash(pos.File))
	pos.File = abs
	here, err := filepath.Abs(".")
	if err != nil {
		return pos
	}
	if rel, err := filepath.Rel(here, abs); err == nil && filepath.IsLocal(rel) {
		pos.File = rel
	}
	return pos
}
