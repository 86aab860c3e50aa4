// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/contract"
	restdoor "github.com/parley-ipc/parley/internal/door/rest"
)

const (
	// contractComponent is where contracts are kept: parameters of their virtual host, by their names,
	// each the JSON of a contract.Source. They are exported and imported with the definitions.
	contractComponent = "contract"
	// contractBytes bounds the JSON of one, contractsBytes that of all in a virtual host.
	contractBytes  = 2 * contract.SourceBytes
	contractsBytes = 32 << 20
)

// contracts are those of the configuration and those that were pushed. The parameters are what counts
// of the latter, whoever sets them; the registry follows.
type contracts struct {
	h        *Hub
	registry *contract.Registry

	life    context.Context //nolint:containedctx // of run
	stop    context.CancelFunc
	running sync.WaitGroup

	mu sync.Mutex // who changes contracts: what a new one breaks is asked and answered under it
	// kept are the parameters that the registry knows, those with a fault too.
	kept map[contractKey][]byte
}

type contractKey struct{ vhost, name string }

var _ restdoor.Contracts = (*contracts)(nil)

func newContracts(h *Hub) *contracts {
	c := &contracts{h: h, registry: &contract.Registry{}, kept: map[contractKey][]byte{}}
	c.life, c.stop = context.WithCancel(context.Background())
	return c
}

// contractParameters tells the heart what parameters may be contracts.
func contractParameters() map[string]broker.Component {
	return map[string]broker.Component{contractComponent: {
		Bytes: contractBytes, Total: contractsBytes,
		Check: func(_, name string, value []byte) error {
			_, err := keptContract("", name, value)
			return err
		},
	}}
}

// keptContract makes a contract of a parameter.
func keptContract(vhost, name string, value []byte) (*contract.Entry, error) {
	d := json.NewDecoder(bytes.NewReader(value))
	d.DisallowUnknownFields()
	source := &contract.Source{}
	if err := d.Decode(source); err != nil {
		return nil, err
	}
	made, services, err := source.Load(name)
	if err != nil {
		return nil, err
	}
	return &contract.Entry{VHost: vhost, Contract: made, Services: services, Source: source}, nil
}

// start makes the contracts of the configuration and those that were kept, and follows the parameters
// until stopped.
func (c *contracts) start() error {
	configured, faults := c.h.options.loadContracts()
	for _, e := range configured {
		faults = append(faults, c.registry.Put(e))
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	c.follow()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life.Err() != nil {
		return errStopped
	}
	c.running.Go(c.run) // under the lock: shutdown waits for it
	return nil
}

// run follows the parameters.
func (c *contracts) run() {
	changed := c.h.broker.ComponentChanged(contractComponent)
	for {
		select {
		case <-changed:
			c.follow()
		case <-c.life.Done():
			return
		}
	}
}

// shutdown ends run.
func (c *contracts) shutdown() {
	c.mu.Lock()
	c.stop()
	c.mu.Unlock()
	c.running.Wait()
}

// follow lets the registry have the contracts that the parameters have.
func (c *contracts) follow() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := map[contractKey][]byte{}
	for _, v := range c.h.broker.VirtualHosts() {
		for _, p := range v.Parameters(contractComponent) {
			now[contractKey{v.Name(), p.Name}] = p.Value
		}
	}
	for key := range c.kept {
		if _, ok := now[key]; !ok {
			c.forget(key)
			delete(c.kept, key)
		}
	}
	var changed []*contract.Entry
	for key, value := range now {
		if known, ok := c.kept[key]; ok && bytes.Equal(known, value) {
			continue
		}
		c.kept[key] = value
		e, err := keptContract(key.vhost, key.name, value)
		if err != nil {
			c.refuse(key, err)
			continue
		}
		changed = append(changed, e)
	}
	c.putAll(changed)
}

// putAll puts contracts into the registry in whatever order lets it: a service may have moved from one
// to another.
func (c *contracts) putAll(list []*contract.Entry) {
	slices.SortFunc(list, func(a, b *contract.Entry) int {
		return cmp.Or(strings.Compare(a.VHost, b.VHost),
			strings.Compare(a.Contract.Name, b.Contract.Name))
	})
	for before := -1; len(list) != before; {
		before = len(list)
		list = slices.DeleteFunc(list, func(e *contract.Entry) bool { return c.put(e) == nil })
	}
	for _, e := range list {
		c.refuse(contractKey{e.VHost, e.Contract.Name}, c.put(e))
	}
}

// put puts a contract into the registry.
func (c *contracts) put(e *contract.Entry) error {
	if err := c.mayPut(e); err != nil {
		return err
	}
	return c.registry.Put(e)
}

// refuse says why what the parameters have is not in force; what was before is not any more either.
func (c *contracts) refuse(key contractKey, err error) {
	c.forget(key)
	c.h.options.Logger.Error("contract not in force", "vhost", key.vhost, "contract", key.name,
		"error", err)
}

// forget takes a contract out of the registry, unless it stands in the configuration.
func (c *contracts) forget(key contractKey) {
	if e := c.registry.Entry(key.vhost, key.name); e != nil && !e.Configured {
		c.registry.Delete(key.vhost, key.name)
	}
}

// operation is what the heart knows of an operation.
func (c *contracts) operation(vhost, service string, operation []byte) broker.OperationTerms {
	o := c.registry.Operations(vhost, service)
	if o == nil {
		return broker.OperationTerms{}
	}
	m := o.Method(operation)
	if m == nil {
		return broker.OperationTerms{}
	}
	return broker.OperationTerms{Timeout: m.Timeout, Idempotent: m.Idempotent}
}

func conflict(format string, args ...any) error {
	return &broker.Error{
		Code: broker.CodeInequivalent, Op: "put contract", Text: fmt.Sprintf(format, args...),
	}
}

// Put implements restdoor.Contracts.
func (c *contracts) Put(
	by *broker.Connection, name string, source *contract.Source, force bool,
) (restdoor.ContractChange, error) {
	var out restdoor.ContractChange
	made, services, err := source.Load(name)
	if err != nil {
		return out, err
	}
	value, err := source.Marshal()
	if err != nil {
		return out, err
	}
	out.Entry = &contract.Entry{
		VHost: by.VHost, Contract: made, Services: services, Source: source,
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.registry.Entry(by.VHost, name)
	if err := mayDescribe(by, out.Entry, old); err != nil {
		return out, err
	}
	if old != nil {
		out.Changes = contract.Compare(old.Contract.Program, made.Program)
		if len(contract.Breaks(out.Changes)) > 0 && !force {
			return out, &contract.BreakingError{Changes: out.Changes}
		}
	}
	out.Created = old == nil
	if err := c.mayPut(out.Entry); err != nil {
		return out, err
	}
	p := broker.Parameter{Component: contractComponent, Name: name, Value: value}
	if _, err := by.VirtualHost().SetParameter(p); err != nil {
		return out, err
	}
	c.kept[contractKey{by.VHost, name}] = value
	c.h.options.Logger.Info("contract put", "vhost", by.VHost, "contract", name, "user", by.User,
		"breaks", len(contract.Breaks(out.Changes)))
	return out, c.put(out.Entry)
}

// mayPut asks what put would refuse.
func (c *contracts) mayPut(e *contract.Entry) error {
	if err := c.registry.Conflict(e); err != nil {
		return conflict("%v", err)
	}
	old := c.registry.Entry(e.VHost, e.Contract.Name)
	switch {
	case old != nil && old.Configured:
		return conflict("the contract '%s' stands in the configuration", e.Contract.Name)
	case old == nil && len(c.registry.List()) >= contractsMost:
		return &broker.Error{
			Code: broker.CodeQuota, Op: "put contract",
			Text: fmt.Sprintf("the hub has %d contracts already", contractsMost),
		}
	}
	return nil
}

// mayDescribe asks whether a user may say what the services of these contracts take and answer.
func mayDescribe(by *broker.Connection, entries ...*contract.Entry) error {
	for _, e := range entries {
		if e == nil {
			continue
		}
		for _, service := range slices.Sorted(maps.Keys(e.Services)) {
			if err := by.MayDescribe("put contract", service); err != nil {
				return err
			}
		}
	}
	return nil
}

// Delete implements restdoor.Contracts.
func (c *contracts) Delete(by *broker.Connection, name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := contractKey{by.VHost, name}
	old := c.registry.Entry(by.VHost, name)
	if err := mayDescribe(by, old); err != nil {
		return err
	}
	if old != nil && old.Configured {
		return conflict("the contract '%s' stands in the configuration", name)
	}
	if _, kept := c.kept[key]; !kept {
		return nil
	}
	if old == nil && !c.h.isAdministrator(by.User) { // one with a fault: nobody knows what it is about
		return &broker.Error{
			Code: broker.CodeForbidden, Op: "delete contract", Entity: name,
			Text: "only administrators may delete a contract that is not in force",
		}
	}
	err := by.VirtualHost().DeleteParameter(contractComponent, name)
	if err != nil && !errors.Is(err, &broker.Error{Code: broker.CodeNotFound}) {
		return err
	}
	c.forget(key)
	delete(c.kept, key)
	return nil
}
