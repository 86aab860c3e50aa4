// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// journal keeps users in memory, durably once it was waited for.
type journal struct {
	noted, durable map[string][]byte
	fails          error
}

func newJournal() *journal {
	return &journal{noted: make(map[string][]byte), durable: make(map[string][]byte)}
}

func (j *journal) LogUser(name string, value []byte) error {
	if j.fails != nil {
		return j.fails
	}
	if value == nil {
		delete(j.noted, name)
	} else {
		j.noted[name] = slices.Clone(value)
	}
	return nil
}

func (j *journal) LogWait() error {
	j.durable = maps.Clone(j.noted)
	return j.fails
}

// restart returns the store of the next start.
func (j *journal) restart(t *testing.T, options Options) *Store {
	t.Helper()
	s, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Recover(maps.Clone(j.durable), j); err != nil {
		t.Fatal(err)
	}
	return s
}

func names(s *Store) (names []string) {
	for _, u := range s.Users() {
		names = append(names, u.Name)
	}
	return names
}

// TestRecoverUsers: every kind of change is durable when it returns, and is there after a restart.
func TestRecoverUsers(t *testing.T) {
	t.Parallel()
	j := newJournal()
	s := j.restart(t, Options{})
	ada := User{Name: "ada", Tags: []string{TagMonitoring}}
	topic := Topic{VHost: "/", Exchange: "amq.topic"}
	steps := []struct {
		name string
		do   func() error
	}{
		{"put", func() error { return s.Put(ada) }},
		{"password", func() error { return s.SetPassword(t.Context(), "ada", NewSecret("new")) }},
		{"permission", func() error { return s.SetPermission("ada", "/", AllPermissions()) }},
		{"another", func() error { return s.SetPermission("ada", "v", Permission{Read: "q"}) }},
		{"limit", func() error { return s.SetUserLimit("ada", LimitChannels, 7) }},
		{"topic", func() error {
			return s.SetTopicPermission("ada", topic, TopicPermission{Write: "a", Read: "b"})
		}},
		{"clear topic", func() error { return s.ClearTopicPermission("ada", topic) }},
		{"clear", func() error { return s.ClearPermission("ada", "/") }},
		{"second", func() error {
			return s.Put(User{Name: "bob", Permissions: map[string]Permission{
				"v": {Write: "w"}, "\xff": {Read: "r"},
			}})
		}},
		{"drop vhost", func() error { return s.DropVHost("v") }},
		{"delete", func() error { return s.Delete("guest") }},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		again := j.restart(t, Options{})
		sameHash := cmp.Comparer(func(a, b Hash) bool { return a.Text() == b.Text() })
		if d := cmp.Diff(s.Users(), again.Users(), sameHash, cmpopts.EquateEmpty()); d != "" {
			t.Fatalf("after %s (-before +after the restart)\n%s", step.name, d)
		}
	}
	if got := names(s); !slices.Equal(got, []string{"ada", "bob"}) {
		t.Errorf("users %q", got)
	}
	last := j.restart(t, Options{})
	if _, err := last.Login(t.Context(), Credentials{
		Name: "ada", Password: NewSecret("new"), Peer: PeerOf(nil),
	}); err != nil {
		t.Errorf("login after the restart: %v", err)
	}
}

// TestRecoverConfigured: the configuration says who its users are, at every start.
func TestRecoverConfigured(t *testing.T) {
	t.Parallel()
	j := newJournal()
	s := j.restart(t, Options{})
	if got := names(s); !slices.Equal(got, []string{"guest"}) || j.durable["guest"] == nil {
		t.Fatalf("first start: users %q", got)
	}
	if err := s.Put(User{Name: "ada"}); err != nil {
		t.Fatal(err)
	}
	configured := Options{Users: []User{{Name: "ada", Tags: []string{"x"}}, {Name: "ops"}}}
	s = j.restart(t, configured)
	if got := names(s); !slices.Equal(got, []string{"ada", "guest", "ops"}) {
		t.Errorf("users %q", got)
	}
	for _, err := range []error{
		s.Put(User{Name: "ada"}), s.Delete("ops"),
		s.SetPermission("ops", "/", Permission{}),
	} {
		if !errors.Is(err, ErrConfigured) {
			t.Errorf("change of a configured user: %v", err)
		}
	}
	if u, _ := s.User("ada"); !u.HasTag("x") {
		t.Error("the configured user is not the one that counts")
	}
	s = j.restart(t, Options{Users: []User{}})
	if got := names(s); !slices.Equal(got, []string{"ada", "guest"}) {
		t.Errorf("without the configuration: users %q", got)
	}
	if s = newJournal().restart(t, Options{Users: []User{}}); len(s.Users()) != 0 {
		t.Errorf("nobody is configured: users %q", names(s))
	}
}

// TestJournalFails: a change that the journal does not take is not made.
func TestJournalFails(t *testing.T) {
	t.Parallel()
	j := newJournal()
	s := j.restart(t, Options{})
	j.fails = errors.New("disk")
	if err := s.Put(User{Name: "ada"}); !errors.Is(err, j.fails) || len(s.Users()) != 1 {
		t.Errorf("put: %v, users %q", err, names(s))
	}
	if err := s.Delete("guest"); !errors.Is(err, j.fails) || len(s.Users()) != 1 {
		t.Errorf("delete: %v, users %q", err, names(s))
	}
	if err := s.Recover(map[string][]byte{"ada": {9}}, j); !errors.Is(err, errRecord) {
		t.Errorf("a record of another layout: %v", err)
	}
}

// TestRecordWithoutLimits: users that were kept before limits existed have none.
func TestRecordWithoutLimits(t *testing.T) {
	t.Parallel()
	raw := Guest().record()
	raw[0] = recordNoLimits
	u, err := userOf("guest", raw[:len(raw)-1]) // the count of limits is the last octet
	if err != nil || len(u.Limits) != 0 || !u.HasTag(TagAdministrator) {
		t.Errorf("%+v, %v", u, err)
	}
}

func FuzzUserRecord(f *testing.F) {
	f.Add(Guest().record())
	f.Add(User{
		Tags: []string{"a", ""}, Permissions: map[string]Permission{"/": {Write: "w"}, "v": {}},
		Topics: map[string]map[string]TopicPermission{"/": {"x": {Write: "a"}, "y": {Read: "b"}}},
		Limits: map[string]int{LimitConnections: 3, LimitChannels: -1},
	}.record())
	f.Fuzz(func(t *testing.T, raw []byte) {
		u, err := userOf("u", raw)
		if err != nil {
			return
		}
		first := u.record()
		again, err := userOf("u", first)
		if err != nil {
			t.Fatalf("its own bytes are refused: %v", err)
		}
		if !bytes.Equal(first, again.record()) {
			t.Error("two forms of one user")
		}
	})
}
