// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/parley-ipc/parley/internal/config"
)

// helpTemplate is cobra's, and the exit codes behind it: every verb has the same.
const helpTemplate = `{{with (or .Long .Short)}}{{. | trimTrailingWhitespaces}}

{{end}}{{.UsageString}}
` + exitHelp

// The groups of verbs in the help.
const (
	groupTalk = "talk"
	groupHub  = "hub"
)

// addHelp gives root what cobra would add by itself, with an error for what it does not know.
func addHelp(root *cobra.Command) {
	root.SetHelpTemplate(helpTemplate)
	root.AddGroup(&cobra.Group{ID: groupTalk, Title: "Talk through a hub:"},
		&cobra.Group{ID: groupHub, Title: "Run a hub:"})
	root.SetHelpCommand(&cobra.Command{
		Use:               "help [COMMAND]",
		Short:             "Help about any command",
		ValidArgsFunction: completeCommands,
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return unknownCommand(cmd, rest[0])
			}
			cmd.InitDefaultHelpFlag()
			return cmd.Help()
		},
	})
	root.InitDefaultCompletionCmd("completion") // not only when it runs
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			cmd.Args, cmd.RunE = noArgs, showHelp
		}
	}
}

// showHelp is what a command does that only holds others.
func showHelp(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// flagFault is a flag that a command does not know, with the nearest that it does, or cannot read.
func flagFault(cmd *cobra.Command, err error) error {
	unknown, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok || len(unknown.GetSpecifiedName()) == 1 {
		return usageError{err}
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if name := config.Nearest(unknown.GetSpecifiedName(), names); name != "" {
		return usagef("%w; did you mean --%s?", err, name)
	}
	return usageError{err}
}

// unknownCommand is an argument that is none of a command's verbs, or one too many.
func unknownCommand(cmd *cobra.Command, name string) error {
	if !cmd.HasSubCommands() {
		return usagef("%q: %s takes no argument", name, cmd.CommandPath())
	}
	var names []string
	for _, c := range cmd.Commands() {
		names = append(names, c.Name())
	}
	if near := config.Nearest(name, names); near != "" {
		return usagef("unknown command %q for %q; did you mean %q?", name, cmd.CommandPath(), near)
	}
	return usagef("unknown command %q for %q", name, cmd.CommandPath())
}
