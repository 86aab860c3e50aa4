// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/parley-ipc/parley/hub"
	"github.com/parley-ipc/parley/internal/contract"
)

func (a *app) contractCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "contract",
		Short: "Check Thrift IDL and what a next version breaks; hold a hub's services to it",
		Args:  noArgs,
		RunE:  showHelp,
	}
	var include []string
	check := &cobra.Command{
		Use:   "check FILE...",
		Short: "Say whether files of Thrift IDL, with what they include, are valid",
		Long: "Read files of Thrift IDL, with what they include, and show what each holds. Every fault is\n" +
			"a line with file, line and column, those of annotations that a hub would refuse too. No hub is\n" +
			"needed.",
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
			"old version stop working, else warning. With an error the command fails (1).",
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
	cmd.AddCommand(check, diff, a.pushContractCommand(), a.listContractsCommand(),
		a.showContractCommand(), a.removeContractCommand())
	return cmd
}

// checkContracts reads every file, also after one with faults.
func (a *app) checkContracts(files, include []string) error {
	var faults []error
	p := a.printer()
	for _, name := range files {
		program, err := hub.ReadIDL(name, include)
		if err == nil {
			err = hub.CheckIDL(program)
		}
		if err != nil {
			faults = append(faults, fileFault(err))
			continue
		}
		functions, warnings := 0, 0
		for _, s := range program.Services {
			functions += len(s.Functions)
		}
		for _, file := range program.Files() {
			for _, w := range file.Warnings {
				warnings++
				w.Pos = hub.ShownPosition(w.Pos)
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
	old, err := hub.ReadIDL(from, include)
	if err != nil {
		return fileFault(err)
	}
	next, err := hub.ReadIDL(to, include)
	if err != nil {
		return fileFault(err)
	}
	p := a.printer()
	changes := contract.Compare(old, next)
	for _, c := range changes {
		c.Pos = hub.ShownPosition(c.Pos)
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
