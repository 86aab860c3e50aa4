// SPDX-License-Identifier: Apache-2.0

package contract

import "github.com/parley-ipc/parley/internal/check"

// Settings say how a contract is read and written as JSON.
type Settings struct {
	// I64Strings writes every i64 as a string of digits, for readers whose numbers are doubles. Both
	// forms are always read. `api.js_conv` says it of one field.
	I64Strings bool `json:"i64_strings"`
}

// Contract is a program whose methods are compiled for transcoding. It does not change and may be
// used by many goroutines.
type Contract struct {
	Name     string
	Program  *Program
	Settings Settings

	operations map[string]*Operations
}

// New compiles the services of the root file of p, inherited functions included. A fault of an
// annotation or of a default value is Errors, with positions.
func New(name string, p *Program, s Settings) (*Contract, error) {
	c := &Contract{
		Name: name, Program: p, Settings: s, operations: make(map[string]*Operations, len(p.Services)),
	}
	k := newCompiler(s)
	for _, service := range p.Services {
		c.operations[service.Name] = k.service(c, service)
	}
	if len(k.faults) > 0 {
		return nil, k.faults
	}
	check.Assert(len(c.operations) == len(p.Services), "two services of one name")
	return c, nil
}

// Operations returns the operations of an IDL service, or nil.
func (c *Contract) Operations(service string) *Operations { return c.operations[service] }
