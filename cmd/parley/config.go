// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/spf13/cobra"

	"github.com/parley-ipc/parley/internal/config"
)

func (a *app) configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check and show the configuration of a hub",
		Args:  noArgs,
		RunE:  showHelp,
	}
	cmd.AddCommand(a.configVerb(&cobra.Command{
		Use:   "validate",
		Short: "Say whether serve would take file, environment and flags",
		Long: "Say whether serve would take file, environment and flags, and all that is wrong with them, each\n" +
			"with its place. Nothing is opened.",
	}, func([]config.Value) error {
		a.note("valid")
		return nil
	}), a.configVerb(&cobra.Command{
		Use:   "print",
		Short: "Show every value and where it comes from",
		Long: "Show the value of every key, and where it comes from: a place in the file, a variable, a\n" +
			"flag, or default. Lists and maps, such as users, are not shown.",
	}, func(values []config.Value) error {
		p := a.listPrinter()
		for _, v := range values {
			r := row{{"key", v.Key}, {"value", v.Value}, {"origin", v.Origin}}
			if err := p.put(r, []byte(v.Key+": "+v.Value+"\n")); err != nil {
				return err
			}
		}
		return p.flush()
	}))
	return cmd
}

// configVerb makes cmd load the configuration as serve does, and hand it to show.
func (a *app) configVerb(cmd *cobra.Command, show func([]config.Value) error) *cobra.Command {
	var f serveFlags
	f.addConfig(cmd)
	cmd.Args = noArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		values, err := config.Explain(a.sources(cmd, &f))
		if err != nil {
			return err
		}
		return show(values)
	}
	return cmd
}
