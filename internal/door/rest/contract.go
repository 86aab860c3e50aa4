// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/contract"
)

// Contracts keeps what services take and answer. It is safe for concurrent use. Errors are the
// heart's, a *contract.BreakingError, or, where the source is wrong, any other.
type Contracts interface {
	// Put keeps a contract in the connection's virtual host, or puts it in the place of the one of its
	// name. What breaks the one before it is refused, unless it is forced.
	Put(c *broker.Connection, name string, s *contract.Source, force bool) (ContractChange, error)
	// Delete takes a contract away; one that is not there is no error.
	Delete(c *broker.Connection, name string) error
}

// ContractChange is what a Put has done.
type ContractChange struct {
	Entry   *contract.Entry
	Created bool
	// Changes are all that differ from the version before.
	Changes []contract.Change
}

// contractBody shows a contract.
type contractBody struct {
	Name       string                    `json:"name"`
	Configured bool                      `json:"configured,omitempty"`
	Root       string                    `json:"root"`
	Include    []string                  `json:"include,omitempty"`
	Files      map[string]string         `json:"files,omitempty"`
	I64        string                    `json:"i64,omitempty"`
	Services   map[string]string         `json:"services"`
	Methods    map[string][]contractCall `json:"methods,omitempty"`
	Warnings   []contractNote            `json:"warnings,omitempty"`
	Changes    []contractNote            `json:"changes,omitempty"`
}

// contractCall is a method of a service.
type contractCall struct {
	Name       string `json:"name"`
	About      string `json:"about,omitempty"`
	Oneway     bool   `json:"oneway,omitempty"`
	Idempotent bool   `json:"idempotent,omitempty"`
	TimeoutMS  int64  `json:"timeout_ms,omitempty"`
}

// contractNote is something about a place in an IDL file: a fault, a warning, or a change, which has a
// level, error or warning, and a rule.
type contractNote struct {
	Level  string `json:"level,omitempty"`
	Rule   string `json:"rule,omitempty"`
	File   string `json:"file"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	Text   string `json:"text"`
}

// contractList lists contracts, without their files.
type contractList struct {
	Items []contractBody `json:"items"`
}

func noteAt(pos contract.Position, text string) contractNote {
	return contractNote{File: pos.File, Line: pos.Line, Column: pos.Column, Text: text}
}

func changeNotes(changes []contract.Change) []contractNote {
	out := make([]contractNote, len(changes))
	for i, c := range changes {
		out[i] = noteAt(c.Pos, c.Text)
		out[i].Rule, out[i].Level = string(c.Rule), "warning"
		if c.Breaking {
			out[i].Level = "error"
		}
	}
	return out
}

// showContract returns what a list shows of a contract.
func showContract(e *contract.Entry) contractBody {
	return contractBody{
		Name: e.Contract.Name, Configured: e.Configured, Root: e.Contract.Program.Path,
		I64: e.Source.I64, Services: e.Services,
	}
}

// showWhole returns all about a contract.
func showWhole(e *contract.Entry) contractBody {
	out := showContract(e)
	out.Include, out.Files = e.Source.Include, e.Source.Files
	out.Methods = make(map[string][]contractCall, len(e.Services))
	for queue, service := range e.Services {
		methods := e.Contract.Operations(service).Methods()
		list := make([]contractCall, len(methods))
		for i, m := range methods {
			list[i] = contractCall{
				Name: m.Name, About: strings.TrimSpace(m.Function.Doc), Oneway: m.Oneway, Idempotent: m.Idempotent,
				TimeoutMS: m.Timeout.Milliseconds(),
			}
		}
		out.Methods[queue] = list
	}
	for _, file := range e.Contract.Program.Files() {
		for _, w := range file.Warnings {
			out.Warnings = append(out.Warnings, noteAt(w.Pos, w.Text))
		}
	}
	return out
}

// contracts returns who keeps them.
func (d *Door) contracts() (Contracts, error) {
	if d.options.Contracts == nil || d.options.Registry == nil {
		return nil, problemf(wordNotFound, "this hub keeps no contracts")
	}
	return d.options.Contracts, nil
}

// mayRead reports whether the user may see a contract: one of a service that he may do anything with.
func (v *visit) mayRead(e *contract.Entry) bool {
	if e.VHost != v.client.key.vhost {
		return false
	}
	for service := range e.Services {
		if v.client.conn.Visible("queue", service) {
			return true
		}
	}
	return false
}

// putContract is PUT /contracts/{name}: 201 when it is new, 409 when it breaks the one that is there.
func (d *Door) putContract(v *visit) error {
	keeper, err := d.contracts()
	if err != nil {
		return err
	}
	if err := d.checkAlarm(); err != nil {
		return err
	}
	force, err := v.flag("force")
	if err != nil {
		return err
	}
	source, err := v.contractSource()
	if err != nil {
		return err
	}
	done, err := keeper.Put(v.client.conn, v.path("name"), source, force)
	if err != nil {
		return contractProblem(err)
	}
	out := showWhole(done.Entry)
	out.Files, out.Changes = nil, changeNotes(done.Changes)
	status := http.StatusOK
	if done.Created {
		status = http.StatusCreated
		v.w.Header().Set("Location", v.base()+"/contracts/"+url.PathEscape(v.path("name")))
	}
	return v.reply(status, out)
}

// contractSource reads the source of a contract: JSON, or the text of one file.
func (v *visit) contractSource() (*contract.Source, error) {
	source := &contract.Source{}
	t, _, err := mime.ParseMediaType(v.r.Header.Get("Content-Type"))
	if err == nil && slices.Contains(idlTypes(), t) {
		text, err := v.body()
		if err != nil {
			return nil, err
		}
		source.Root = v.path("name") + ".thrift"
		source.Files = map[string]string{source.Root: string(text)}
		return source, nil
	}
	return source, v.decode(source, false)
}

// idlTypes are the media types of one file of Thrift IDL; none is registered.
func idlTypes() []string {
	return []string{"text/x-thrift", "application/x-thrift-idl", "text/plain"}
}

// contractProblem turns what a keeper says into a problem, with the places.
func contractProblem(err error) error {
	if _, ok := errors.AsType[*broker.Error](err); ok {
		return err
	}
	if breaks, ok := errors.AsType[*contract.BreakingError](err); ok {
		p := problemf("conflict", "%v; force=1 takes it all the same", breaks)
		p.changes = changeNotes(breaks.Changes)
		return p
	}
	p := badRequest("%v", err)
	if faults, ok := errors.AsType[contract.Errors](err); ok {
		p.detail = "the IDL has faults"
		for _, f := range faults {
			p.faults = append(p.faults, noteAt(f.Pos, f.Text))
		}
	}
	return p
}

// getContract is GET /contracts/{name}.
func (d *Door) getContract(v *visit) error {
	if _, err := d.contracts(); err != nil {
		return err
	}
	e := d.options.Registry.Entry(v.client.key.vhost, v.path("name"))
	if e == nil || !v.mayRead(e) {
		return problemf(wordNotFound, "no contract '%s'", v.path("name"))
	}
	return v.reply(http.StatusOK, showWhole(e))
}

// listContracts is GET /contracts.
func (d *Door) listContracts(v *visit) error {
	if _, err := d.contracts(); err != nil {
		return err
	}
	out := contractList{Items: []contractBody{}}
	for _, e := range d.options.Registry.List() {
		if v.mayRead(e) {
			out.Items = append(out.Items, showContract(e))
		}
	}
	return v.reply(http.StatusOK, out)
}

// deleteContract is DELETE /contracts/{name}: 204 also for one that is not there.
func (d *Door) deleteContract(v *visit) error {
	keeper, err := d.contracts()
	if err != nil {
		return err
	}
	if err := keeper.Delete(v.client.conn, v.path("name")); err != nil {
		return err
	}
	return v.noContent()
}
