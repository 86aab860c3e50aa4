// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/parley-ipc/parley/internal/contract"
)

// Contract says what services take and answer, by their Thrift IDL.
type Contract struct {
	// VHost is the virtual host of the services. Default "/".
	VHost string `yaml:"vhost"`
	// File is a file of Thrift IDL.
	File string `yaml:"file"`
	// Include lists directories that are searched for files that are not beside the one that includes
	// them. Default none.
	Include []string `yaml:"include"`
	// Services are those of the IDL by the hub's services. Default: each service that the file defines,
	// under its own name.
	Services map[string]string `yaml:"services"`
	// I64 is how JSON has 64-bit integers: number or string. Default number.
	I64 string `yaml:"i64"`
}

// contractsMost bounds the contracts of a hub.
const contractsMost = 1_000

// load makes the contract of that name. Each fault begins with its key.
func (c *Contract) load(name string) (*contract.Entry, []error) {
	if c.File == "" {
		return nil, []error{errors.New("file: it is needed")}
	}
	program, source, err := readIDL(c.File, c.Include)
	if err == nil {
		err = CheckIDL(program) // while positions are those of this machine's files
	}
	if err != nil {
		return nil, faultsOf("file", err)
	}
	source.Services, source.I64 = c.Services, c.I64
	made, services, err := source.Load(name)
	if _, isIDL := errors.AsType[contract.Errors](err); isIDL {
		return nil, faultsOf("file", err)
	}
	if err != nil {
		return nil, []error{err}
	}
	return &contract.Entry{
		VHost: virtualHostName(c.VHost), Contract: made, Services: services, Source: source,
		Configured: true,
	}, nil
}

// faultsOf returns the faults of a file, each with the key.
func faultsOf(key string, err error) []error {
	list, ok := errors.AsType[contract.Errors](err)
	if !ok {
		return []error{fmt.Errorf("%s: %w", key, err)}
	}
	faults := make([]error, len(list))
	for i, e := range list {
		faults[i] = fmt.Errorf("%s: %w", key, e)
	}
	return faults
}

// virtualHostName is the name of a virtual host in the configuration.
func virtualHostName(name string) string {
	if name == "" {
		return "/"
	}
	return name
}

// loadContracts makes the contracts of the configuration, those without a fault. Each fault begins with
// the path of its key.
func (o *Options) loadContracts() (contracts []*contract.Entry, faults []error) {
	if len(o.Contracts) > contractsMost {
		return nil, []error{fmt.Errorf("contracts: more than %d", contractsMost)}
	}
	var registry contract.Registry
	for _, name := range slices.Sorted(maps.Keys(o.Contracts)) {
		c := o.Contracts[name]
		path := "contracts." + name
		if err := contract.CheckName(name); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", path, err))
			continue
		}
		e, wrong := c.load(name)
		if len(wrong) == 0 {
			if err := registry.Put(e); err != nil {
				wrong = []error{fmt.Errorf("services: %w", err)}
			}
		}
		for _, err := range wrong {
			faults = append(faults, fmt.Errorf("%s.%w", path, err))
		}
		if len(wrong) == 0 {
			contracts = append(contracts, e)
		}
	}
	return contracts, faults
}
