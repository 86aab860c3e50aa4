// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/parley-ipc/parley"
	"github.com/parley-ipc/parley/hub"
)

// hubContract is a contract as the hub shows it.
type hubContract struct {
	Name       string                 `json:"name"`
	Configured bool                   `json:"configured"`
	Root       string                 `json:"root"`
	Files      map[string]string      `json:"files"`
	Services   map[string]string      `json:"services"`
	Methods    map[string][]hubMethod `json:"methods"`
	Warnings   []contractPlace        `json:"warnings"`
	Changes    []contractPlace        `json:"changes"`
}

type hubMethod struct {
	Name       string `json:"name"`
	About      string `json:"about"`
	Oneway     bool   `json:"oneway"`
	Idempotent bool   `json:"idempotent"`
	TimeoutMS  int    `json:"timeout_ms"`
}

// traits are words for what is special about a method.
func (m *hubMethod) traits() string {
	var words []string
	if m.Oneway {
		words = append(words, "oneway")
	}
	if m.Idempotent {
		words = append(words, "idempotent")
	}
	return strings.Join(words, ",")
}

// contractPlace is what the hub says of a place in an IDL.
type contractPlace struct {
	Level, Rule, File, Text string
	Line, Column            int
}

func (p *contractPlace) at() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// pushFlags are those of contract push.
type pushFlags struct {
	door     restDoor
	include  []string
	services []string
	i64      string
	force    bool
}

func (a *app) pushContractCommand() *cobra.Command {
	var f pushFlags
	cmd := &cobra.Command{
		Use:   "push NAME FILE",
		Short: "Give a hub the contract of its services",
		Long: "Read a file of Thrift IDL, with what it includes, and let the hub hold its services to it:\n" +
			"each service of the file under its own name, or those that --service names. What breaks the\n" +
			"contract of that name, as `parley contract diff` shows it, is refused (1) without --force.",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usagef("usage: %s", cmd.UseLine())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.pushContract(cmd.Context(), args[0], args[1], &f)
		},
	}
	f.door.add(cmd)
	cmd.Flags().StringArrayVarP(&f.include, "include", "I", nil,
		"a directory to search for included files; may be repeated")
	cmd.Flags().StringArrayVar(&f.services, "service", nil,
		"QUEUE=SERVICE: the hub's service, and what the file calls it; may be repeated")
	cmd.Flags().StringVar(&f.i64, "i64", "", "how JSON has 64-bit integers: number (default) or string")
	cmd.Flags().BoolVar(&f.force, "force", false, "even if it breaks the one that is there")
	return cmd
}

func (a *app) pushContract(ctx context.Context, name, file string, f *pushFlags) error {
	source, err := hub.ReadContract(file, f.include)
	if err != nil {
		return fileFault(err)
	}
	source.I64 = f.i64
	for _, pair := range f.services {
		queue, service, ok := strings.Cut(pair, "=")
		if !ok {
			return usagef("--service %q is not QUEUE=SERVICE", pair)
		}
		if source.Services == nil {
			source.Services = map[string]string{}
		}
		source.Services[queue] = service
	}
	q := restQuery{method: http.MethodPut, path: contractPath(name)}
	if q.body, err = source.Marshal(); err != nil {
		return err
	}
	if f.force {
		q.path += "?force=true"
	}
	var done hubContract
	if err := f.door.ask(ctx, a, q, &done); err != nil {
		return a.explainContract(err)
	}
	for i := range done.Warnings {
		a.note("warning: %s: %s", done.Warnings[i].at(), done.Warnings[i].Text)
	}
	for i := range done.Changes {
		a.note("%s: %s: %s", done.Changes[i].Level, done.Changes[i].at(), done.Changes[i].Text)
	}
	methods := 0
	for _, list := range done.Methods {
		methods += len(list)
	}
	return a.printer().put(row{
		{"name", done.Name},
		{"services", strings.Join(slices.Sorted(maps.Keys(done.Services)), ",")},
		{"methods", methods},
		{"warnings", len(done.Warnings)},
		{"changes", len(done.Changes)},
	}, []byte(done.Name+"\n"))
}

// explainContract says what places a refusal names, as diff and check do.
func (a *app) explainContract(err error) error {
	refused, ok := errors.AsType[*parley.Error](err)
	if !ok || refused.Details == nil {
		return err
	}
	var places struct{ Changes, Faults []contractPlace }
	if json.Unmarshal(refused.Details, &places) != nil {
		return err
	}
	p := a.printer()
	for i := range places.Changes {
		c := &places.Changes[i]
		r := row{{"level", c.Level}, {"rule", c.Rule}, {"at", c.at()}, {"text", c.Text}}
		if err := p.put(r, []byte(c.at()+": "+c.Text+"\n")); err != nil {
			return err
		}
	}
	for i := range places.Faults {
		a.note("%s: %s", places.Faults[i].at(), places.Faults[i].Text)
	}
	return err
}

func contractPath(name string) string { return "/contracts/" + url.PathEscape(name) }

// listContractsCommand, showContractCommand and removeContractCommand are the other verbs that need a
// hub.
func (a *app) listContractsCommand() *cobra.Command {
	var door restDoor
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the contracts of a hub",
		Long:  "List the contracts of services that the user may see.",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var all struct{ Items []hubContract }
			q := restQuery{method: http.MethodGet, path: "/contracts"}
			if err := door.ask(cmd.Context(), a, q, &all); err != nil {
				return err
			}
			p := a.listPrinter()
			for i := range all.Items {
				c := &all.Items[i]
				from := "pushed"
				if c.Configured {
					from = "configuration"
				}
				err := p.put(row{
					{"name", c.Name},
					{"services", strings.Join(slices.Sorted(maps.Keys(c.Services)), ",")},
					{"root", c.Root},
					{"from", from},
				}, []byte(c.Name+"\n"))
				if err != nil {
					return err
				}
			}
			return p.flush()
		},
	}
	door.add(cmd)
	return cmd
}

func (a *app) showContractCommand() *cobra.Command {
	var door restDoor
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "Show the methods of a contract, or with -o raw its IDL",
		Long: "Show the methods of a contract that a hub has. With -o raw its files are written, the one\n" +
			"with the services last.",
		Args: argsUpTo(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var c hubContract
			q := restQuery{method: http.MethodGet, path: contractPath(args[0])}
			if err := door.ask(cmd.Context(), a, q, &c); err != nil {
				return err
			}
			return a.showContract(&c)
		},
	}
	door.add(cmd)
	return cmd
}

func (a *app) showContract(c *hubContract) error {
	if a.format == "raw" {
		names := slices.DeleteFunc(slices.Sorted(maps.Keys(c.Files)), func(name string) bool {
			return name == c.Root
		})
		for _, name := range append(names, c.Root) {
			text := c.Files[name]
			if len(names) > 0 {
				text = "// " + name + "\n" + text
			}
			if _, err := fmt.Fprintln(a.out, strings.TrimSuffix(text, "\n")); err != nil {
				return err
			}
		}
		return nil
	}
	p := a.listPrinter()
	for _, queue := range slices.Sorted(maps.Keys(c.Methods)) {
		for _, m := range c.Methods[queue] {
			about, _, _ := strings.Cut(m.About, "\n")
			r := row{
				{"service", queue},
				{"method", m.Name},
				{"about", about},
				{"is", m.traits()},
				{"timeout_ms", m.TimeoutMS},
			}
			if err := p.put(r, nil); err != nil {
				return err
			}
		}
	}
	return p.flush()
}

func (a *app) removeContractCommand() *cobra.Command {
	var door restDoor
	cmd := &cobra.Command{
		Use:   "rm NAME",
		Short: "Take a contract away; its services are no longer held to it",
		Long:  "Take a contract away from a hub. One that is not there is no error.",
		Args:  argsUpTo(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			q := restQuery{method: http.MethodDelete, path: contractPath(args[0])}
			return door.ask(cmd.Context(), a, q, nil)
		},
	}
	door.add(cmd)
	return cmd
}
