// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/parley-ipc/parley"
)

func (a *app) versionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			version, revision := buildVersion()
			if asJSON {
				a.format = "jsonl"
			}
			if a.format != "auto" && a.format != "raw" {
				return a.printer().put(row{
					{"version", version},
					{"revision", revision},
					{"go", runtime.Version()},
					{"platform", runtime.GOOS + "/" + runtime.GOARCH},
				}, nil)
			}
			_, err := fmt.Fprintln(a.out, versionLine())
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as one JSON object")
	return cmd
}

// versionLine is the version for people.
func versionLine() string {
	version, _ := buildVersion()
	return fmt.Sprintf("parley %s %s %s/%s", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// buildVersion is what the go command wrote into the binary.
func buildVersion() (version, revision string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return parley.Version(), ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			revision = s.Value
		}
	}
	return parley.Version(), revision
}
