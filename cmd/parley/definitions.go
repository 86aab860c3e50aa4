// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-ipc/parley"
)

const (
	portManagement = "15672"
	// definitionsTimeout bounds an import: each thing in it is safe on the disk before the next.
	definitionsTimeout = 5 * time.Minute
	// answerBytesMax bounds an answer that is an error.
	answerBytesMax = 64 << 10
)

// definitionsFlags say where definitions come from or go to.
type definitionsFlags struct {
	management, vhost string
	dryRun            bool
}

func (f *definitionsFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.management, "management", "",
		"the management door, `http://HOST:PORT`; default port 15672 of the host in --url, whose\n"+
			"user counts in any case")
	cmd.Flags().StringVar(&f.vhost, "vhost", "", "only what is in this virtual host")
}

const definitionsHelp = "Definitions are users with their password hashes, virtual hosts, permissions, parameters,\n" +
	"policies, queues, exchanges and bindings, in RabbitMQ's form: both take what the other exports."

func (a *app) exportCommand() *cobra.Command {
	var f definitionsFlags
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write everything but messages to standard output",
		Long:  "Write the hub's definitions to standard output.\n" + definitionsHelp,
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.definitions(cmd.Context(), http.MethodGet, &f, nil)
		},
	}
	f.add(cmd)
	return cmd
}

func (a *app) importCommand() *cobra.Command {
	var f definitionsFlags
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Take over what a hub, or RabbitMQ, has exported",
		Long: "Take over definitions from a file, or from standard input for -. When anything is wrong\n" +
			"with them nothing changes. Queues and exchanges that exist stay as they are.\n" +
			definitionsHelp,
		Args: argsUpTo(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			from := args[0]
			if from != "-" {
				from = "@" + from
			}
			data, err := a.body(from)
			if err != nil {
				return err
			}
			if err := checkJSON(args[0], data); err != nil {
				return err
			}
			if err := a.definitions(cmd.Context(), http.MethodPost, &f, data); err != nil {
				return err
			}
			if f.dryRun {
				a.note("valid; nothing was changed")
			} else {
				a.note("imported")
			}
			return nil
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "only say whether the hub would take them")
	return cmd
}

// checkJSON says where a file is no JSON; what it means is for the hub to say.
func checkJSON(name string, data []byte) error {
	var whole json.RawMessage
	err := json.Unmarshal(data, &whole)
	syntax, ok := errors.AsType[*json.SyntaxError](err)
	if !ok {
		return err
	}
	before := data[:min(int(syntax.Offset), len(data))]
	line, column := bytes.Count(before, []byte("\n"))+1, len(before)-bytes.LastIndexByte(before, '\n')-1
	return usagef("%s:%d:%d: %v", name, line, max(1, column), err)
}

// definitions asks the management door; what it answers goes to standard output.
func (a *app) definitions(ctx context.Context, method string, f *definitionsFlags, body []byte) error {
	f.management = a.beside(f.management, "http://", portManagement)
	ctx, cancel := context.WithTimeout(ctx, definitionsTimeout)
	defer cancel()
	r, err := a.definitionsRequest(ctx, method, f, body)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		if where, ok := errors.AsType[*url.Error](err); ok { // its text has the address twice
			err = where.Err
		}
		return &parley.Error{
			Code: parley.CodeUnreachable, Message: fmt.Sprintf("%s: %v", f.management, err),
		}
	}
	defer res.Body.Close()
	if res.StatusCode/100 == 2 {
		n, err := io.Copy(a.out, res.Body)
		if err == nil && n > 0 {
			_, err = io.WriteString(a.out, "\n")
		}
		return err
	}
	if res.StatusCode == http.StatusNotFound && f.vhost != "" {
		return &parley.Error{
			Code: parley.CodeNotFound, Message: fmt.Sprintf("no virtual host '%s'", f.vhost),
		}
	}
	return definitionsFault(res)
}

func (a *app) definitionsRequest(
	ctx context.Context, method string, f *definitionsFlags, body []byte,
) (*http.Request, error) {
	to, err := url.Parse(f.management)
	if err != nil || to.Host == "" {
		return nil, usagef("--management %q is not http://HOST:PORT", f.management)
	}
	hub, err := url.Parse(a.url)
	if err != nil {
		return nil, usagef("--url is not parley://USER:PASSWORD@HOST:PORT/VHOST")
	}
	to = to.JoinPath("api", "definitions")
	target := to.String()
	if f.vhost != "" {
		target += "/" + strings.ReplaceAll(url.PathEscape(f.vhost), "/", "%2F")
	}
	if f.dryRun {
		target += "?dry_run=true"
	}
	r, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return nil, usageError{err}
	}
	r.Header.Set("Content-Type", "application/json")
	user, password := "guest", "guest"
	if hub.User != nil {
		user = hub.User.Username()
		password, _ = hub.User.Password()
	}
	r.SetBasicAuth(user, password)
	return r, nil
}

// definitionsFault is what the management door answers, as an error.
func definitionsFault(res *http.Response) error {
	var fault struct {
		Reason string `json:"reason"`
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, answerBytesMax))
	if err == nil {
		err = json.Unmarshal(data, &fault)
	}
	if err != nil {
		fault.Reason = res.Status
	}
	code := parley.CodeInternal
	switch res.StatusCode {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
		code = parley.CodeBadRequest
	case http.StatusUnauthorized, http.StatusForbidden:
		code = parley.CodeForbidden
	case http.StatusNotFound:
		code = parley.CodeNotFound
	case http.StatusServiceUnavailable:
		code = parley.CodeUnreachable
	}
	return &parley.Error{Code: code, Message: fault.Reason}
}
