// SPDX-License-Identifier: Apache-2.0

package console

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/parley-ipc/parley/internal/auth"
	"github.com/parley-ipc/parley/internal/broker"
)

// definitions are everything that can be moved from one hub to another, in RabbitMQ's form.
type definitions struct {
	Users       []userBody       `json:"users"`
	VHosts      []vhostBody      `json:"vhosts"`
	Permissions []permissionBody `json:"permissions"`
	Topics      []topicBody      `json:"topic_permissions"`
	Globals     []parameterBody  `json:"global_parameters"`
	Parameters  []parameterBody  `json:"parameters"`
	Policies    []policyBody     `json:"policies"`
	Exchanges   []exchangeBody   `json:"exchanges"`
	Queues      []queueBody      `json:"queues"`
	Bindings    []bindingBody    `json:"bindings"`
}

// clusterID is a global parameter that names one cluster, and so is not taken over by another.
const clusterID = "internal_cluster_id"

// postDefinitions imports definitions: all of them are checked before any is applied. What is there
// already stays: queues and exchanges of the same names are not changed. With ?dry_run=true it ends
// with the check.
func postDefinitions(v *visit) error {
	free, err := v.holdLarge()
	if err != nil {
		return err
	}
	defer free()
	data, err := v.upload()
	if err != nil {
		return err
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return badRequest("failed_to_parse_json")
	}
	var d definitions
	if err := decode(data, &d); err != nil {
		return err
	}
	if _, one := v.values["vhost"]; one {
		vh, err := v.theVHost()
		if err != nil {
			return err
		}
		d.confine(vh.Name())
	}
	users, err := v.checkDefinitions(&d)
	if err != nil {
		return err
	}
	if v.wants("dry_run") {
		return v.noContent()
	}
	if err := v.apply(&d, users); err != nil {
		return err
	}
	return v.noContent()
}

// upload reads the body, which may be a form with the part file. It is bounded while it streams,
// whatever its framing.
func (v *visit) upload() ([]byte, error) {
	kind, _, err := mime.ParseMediaType(v.r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" {
		return v.body(largeBodyBytes)
	}
	if v.r.ContentLength > largeBodyBytes {
		return nil, tooLarge(largeBodyBytes)
	}
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, largeBodyBytes)
	form, err := v.r.MultipartReader()
	if err != nil {
		return nil, badRequest("the form cannot be read")
	}
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			return nil, badRequest("the form has no part named file")
		}
		if err != nil {
			return nil, formFault(err)
		}
		if part.FormName() != "file" {
			continue
		}
		data, err := io.ReadAll(part)
		if err != nil {
			return nil, formFault(err)
		}
		return data, nil
	}
}

func formFault(err error) error {
	if over, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge(over.Limit)
	}
	return badRequest("the form cannot be read")
}

// confine leaves what can be in one virtual host, and puts it there.
func (d *definitions) confine(vhost string) {
	d.Users, d.VHosts, d.Permissions, d.Topics, d.Globals = nil, nil, nil, nil, nil
	for i := range d.Parameters {
		d.Parameters[i].VHost = vhost
	}
	for i := range d.Policies {
		d.Policies[i].VHost = vhost
	}
	for i := range d.Exchanges {
		d.Exchanges[i].VHost = vhost
	}
	for i := range d.Queues {
		d.Queues[i].VHost = vhost
	}
	for i := range d.Bindings {
		d.Bindings[i].VHost = vhost
	}
}

// checkDefinitions tries everything where it does no harm: the users in a store of their own,
// the rest in an empty broker. It returns the users as they will be.
func (v *visit) checkDefinitions(d *definitions) ([]auth.User, error) {
	scratch := v.console.options.Scratch()
	defer scratch.Close()
	for i := range d.VHosts {
		if name := d.VHosts[i].Name; name == "" || len(name) > vhostNameMax {
			return nil, badRequest("the name of a virtual host has 1 to %d bytes", vhostNameMax)
		}
	}
	here := &place{broker: scratch, model: v.console.options.Broker, user: v.user.Name}
	if err := here.build(d); err != nil {
		if e, ok := errors.AsType[*broker.Error](err); ok {
			return nil, badRequest("%s", e.Text) // also what is not found is the request's fault
		}
		return nil, err
	}
	return v.mergeUsers(d)
}

// mergeUsers returns the users that change, as they will be.
func (v *visit) mergeUsers(d *definitions) ([]auth.User, error) {
	users := make(map[string]*auth.User)
	find := func(name string) (*auth.User, error) {
		if u := users[name]; u != nil {
			return u, nil
		}
		u, ok := v.console.options.Users.User(name)
		if !ok {
			return nil, badRequest("there is no user '%s' for a permission", name)
		}
		users[name] = &u
		return &u, nil
	}
	for i := range d.Users {
		body := &d.Users[i]
		u, err := body.merge(v)
		if err != nil {
			return nil, err
		}
		users[body.Name] = &u
	}
	for _, g := range d.grants() {
		if err := g.fault; err != nil {
			return nil, err
		}
		if err := v.knows(d, g.vhost); err != nil {
			return nil, err
		}
		u, err := find(g.user)
		if err != nil {
			return nil, err
		}
		g.to(u)
	}
	return v.checkUsers(users)
}

// grant is a permission of either kind that a user gets.
type grant struct {
	user, vhost string
	to          func(*auth.User)
	fault       error // of the body
}

// grants lists the permissions: those over names, then those over routing keys.
func (d *definitions) grants() []grant {
	list := make([]grant, 0, len(d.Permissions)+len(d.Topics))
	for i := range d.Permissions {
		b := &d.Permissions[i]
		p, err := b.permission()
		list = append(list, grant{b.User, b.VHost, func(u *auth.User) {
			u.Grant(b.VHost, p)
		}, err})
	}
	for i := range d.Topics {
		b := &d.Topics[i]
		p, err := b.permission()
		list = append(list, grant{b.User, b.VHost, func(u *auth.User) {
			u.GrantTopic(auth.Topic{VHost: b.VHost, Exchange: *b.Exchange}, p)
		}, err})
	}
	return list
}

// merge returns the user that a body makes of the one there is. Permissions stay.
func (b *userBody) merge(v *visit) (auth.User, error) {
	u, _ := v.console.options.Users.User(b.Name)
	if b.Tags == nil {
		return u, badRequest("user '%s': tags_not_present", b.Name)
	}
	u.Name, u.Tags = b.Name, b.Tags
	if b.Limits != nil {
		u.Limits = b.Limits
	}
	var err error
	if b.Password != nil && *b.Password != "" {
		u.Hash, err = v.console.options.Users.HashPassword(v.r.Context(),
			auth.NewSecret(*b.Password))
	} else {
		u.Hash, err = b.hash()
	}
	return u, err
}

// knows reports whether a virtual host is there, or will be.
func (v *visit) knows(d *definitions, vhost string) error {
	if _, ok := v.console.options.Broker.VirtualHost(vhost); ok {
		return nil
	}
	if slices.ContainsFunc(d.VHosts, func(b vhostBody) bool { return b.Name == vhost }) {
		return nil
	}
	return badRequest("there is no virtual host '%s' for a permission", vhost)
}

// checkUsers tries whether a store would take the users.
func (v *visit) checkUsers(users map[string]*auth.User) ([]auth.User, error) {
	out := make([]auth.User, 0, len(users))
	for _, name := range slices.Sorted(maps.Keys(users)) {
		out = append(out, *users[name])
	}
	if _, err := auth.New(auth.Options{Users: out}); err != nil {
		return nil, badRequest("%s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return out, nil
}

// apply brings checked definitions about.
func (v *visit) apply(d *definitions, users []auth.User) error {
	here := &place{
		broker: v.console.options.Broker, user: v.user.Name, remote: v.r.RemoteAddr,
	}
	if err := here.build(d); err != nil {
		return err
	}
	for i := range users {
		if err := v.console.options.Users.Put(users[i]); err != nil {
			return err
		}
	}
	for i := range d.Globals {
		p := &d.Globals[i]
		if p.Name == clusterID {
			continue
		}
		if _, err := v.console.options.Broker.SetGlobalParameter(p.Name, p.Value); err != nil {
			return plain(err)
		}
	}
	return nil
}

// place is where definitions are brought about: the hub, or an empty broker that tries them.
type place struct {
	broker *broker.Broker
	// model, when it is not nil, has what definitions may refer to without saying what it is.
	model        *broker.Broker
	user, remote string
}

// build makes what is in virtual hosts, and the virtual hosts.
func (p *place) build(d *definitions) error {
	for i := range d.VHosts {
		body := &d.VHosts[i]
		vh, err := p.broker.AddVirtualHost(body.Name)
		if err == nil {
			err = body.describe(vh)
		}
		if err != nil {
			return plain(err)
		}
	}
	for i := range d.Globals {
		if _, err := d.Globals[i].parameter(); err != nil {
			return err
		}
	}
	byVHost := make(map[string]*definitions)
	of := func(vhost string) *definitions {
		part := byVHost[vhost]
		if part == nil {
			part = new(definitions)
			byVHost[vhost] = part
		}
		return part
	}
	for _, b := range d.Parameters {
		of(b.VHost).Parameters = append(of(b.VHost).Parameters, b)
	}
	for _, b := range d.Policies {
		of(b.VHost).Policies = append(of(b.VHost).Policies, b)
	}
	for _, b := range d.Exchanges {
		of(b.VHost).Exchanges = append(of(b.VHost).Exchanges, b)
	}
	for _, b := range d.Queues {
		of(b.VHost).Queues = append(of(b.VHost).Queues, b)
	}
	for _, b := range d.Bindings {
		of(b.VHost).Bindings = append(of(b.VHost).Bindings, b)
	}
	for _, vhost := range slices.Sorted(maps.Keys(byVHost)) {
		if err := p.fill(vhost, byVHost[vhost]); err != nil {
			return err
		}
	}
	return nil
}

// fill makes what is in one virtual host. Only administrators import, and nobody is asked whether
// they have permissions in it.
func (p *place) fill(vhost string, d *definitions) error {
	vh, err := p.find(vhost)
	if err != nil {
		return err
	}
	if err := setParameters(vh, d); err != nil {
		return err
	}
	var params broker.ConnectionParams
	params.Name, params.User, params.VHost = "management "+p.user, p.user, vhost
	params.Door, params.Peer = Name, p.remote
	conn, err := p.broker.OpenTrusted(params)
	if err != nil {
		return err
	}
	defer conn.Close()
	s, err := conn.OpenSession(&sink{wake: make(chan struct{}, 1)})
	if err != nil {
		return err
	}
	return p.declare(s, vh, d)
}

func (p *place) find(vhost string) (*broker.VirtualHost, error) {
	if vh, ok := p.broker.VirtualHost(vhost); ok {
		return vh, nil
	}
	if p.model != nil {
		if _, ok := p.model.VirtualHost(vhost); ok {
			return p.broker.AddVirtualHost(vhost)
		}
	}
	return nil, badRequest("there is no virtual host '%s'", vhost)
}

// setParameters sets parameters and policies before there are queues for them to act on.
func setParameters(vh *broker.VirtualHost, d *definitions) error {
	for i := range d.Parameters {
		parameter, err := d.Parameters[i].parameter()
		if err != nil {
			return err
		}
		if string(parameter.Value) == "[]" { // what an empty object is in Erlang's JSON
			parameter.Value = []byte("{}")
		}
		if _, err := vh.SetParameter(parameter); err != nil {
			return plain(err)
		}
	}
	for i := range d.Policies {
		policy, err := d.Policies[i].policy()
		if err != nil {
			return err
		}
		if _, err := vh.SetPolicy(broker.UserPolicy, policy); err != nil {
			return plain(err)
		}
	}
	return nil
}

// declare makes exchanges, queues and bindings, unless they are there.
func (p *place) declare(s *broker.Session, vh *broker.VirtualHost, d *definitions) error {
	for i := range d.Exchanges {
		body := &d.Exchanges[i]
		if _, ok := vh.Exchange(body.Name); ok {
			continue
		}
		if _, err := s.DeclareExchange(body.params()); err != nil {
			return err
		}
	}
	for i := range d.Queues {
		body := &d.Queues[i]
		if body.Name == "" {
			return badRequest("a queue has no name")
		}
		if _, ok := vh.Queue(body.Name); ok {
			continue
		}
		if _, err := s.DeclareQueue(body.params()); err != nil {
			return err
		}
	}
	for i := range d.Bindings {
		b, err := d.Bindings[i].params()
		if err != nil {
			return err
		}
		if err := p.borrow(s, vh, &b); err != nil {
			return err
		}
		if err := s.Bind(b); err != nil {
			return err
		}
	}
	return nil
}

// borrow makes what a binding refers to and only the model has.
func (p *place) borrow(s *broker.Session, vh *broker.VirtualHost, b *broker.BindingParams) error {
	if p.model == nil {
		return nil
	}
	model, ok := p.model.VirtualHost(vh.Name())
	if !ok {
		return nil
	}
	names := []string{b.Source}
	if b.ToExchange {
		names = append(names, b.Destination)
	} else if _, ok := vh.Queue(b.Destination); !ok {
		if q, ok := model.Queue(b.Destination); ok {
			if _, err := s.DeclareQueue(q.QueueParams); err != nil {
				return err
			}
		}
	}
	for _, name := range names {
		if _, ok := vh.Exchange(name); ok {
			continue
		}
		if x, ok := model.Exchange(name); ok {
			if _, err := s.DeclareExchange(x.ExchangeParams); err != nil {
				return err
			}
		}
	}
	return nil
}
