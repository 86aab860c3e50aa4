// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
)

func TestAllowed(t *testing.T) {
	t.Parallel()
	s := newStore(t, User{
		Name: "ann",
		Tags: []string{TagAdministrator},
		Permissions: map[string]Permission{
			"/": {Configure: `^ann-.*`, Write: `amq\.default|ann-.*`, Read: ""},
			"v": AllPermissions(),
		},
	})
	testCases := []struct {
		user, vhost string
		action      Action
		resource    string
		want        bool
	}{
		{"ann", "/", Configure, "ann-1", true},
		{"ann", "/", Configure, "xann-1", false},
		{"ann", "/", Configure, "ann-1\nx", true}, // a line break is a part of the name
		{"ann", "/", Write, "amq.default", true},
		{"ann", "/", Write, "amqxdefault", false},
		{"ann", "/", Write, "amq.defaults", false}, // the whole name, also with alternatives
		{"ann", "/", Write, "bob-ann-1", false},
		{"ann", "/", Read, "ann-1", false},
		{"ann", "/", Read, "", false},
		{"ann", "v", Read, "anything at all", true},
		{"ann", "v", Read, "", false},
		{"ann", "w", Read, "q", false},
		{"bob", "/", Write, "amq.default", false},
		{"", "/", Write, "amq.default", false},
		{"ann", "v", Action(77), "q", false},
	}
	for range 2 { // worked out, and then remembered
		for _, tc := range testCases {
			if got := s.Allowed(tc.user, tc.vhost, tc.action, tc.resource, ""); got != tc.want {
				t.Errorf("%s %v %q in %q: %v, want %v", tc.user, tc.action, tc.resource, tc.vhost,
					got, tc.want)
			}
		}
	}
	for vhost, want := range map[string]bool{"/": true, "v": true, "w": false, "": false} {
		if got := s.MayOpen("ann", vhost); got != want {
			t.Errorf("MayOpen(%q) = %v, want %v", vhost, got, want)
		}
	}
}

// L4: names that are put into a pattern stand for themselves, and whole keys are matched.
func TestSecL4TopicPermissions(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		name, user, vhost, pattern, key string
		want                            bool
	}{
		{"own key", "ann", "/", `{username}\..*`, "ann.x", true},
		{"other key", "ann", "/", `{username}\..*`, "bob.x", false},
		{"the whole key", "ann", "/", `{username}`, "ann.x", false},
		{"in the middle", "ann", "/", `{username}\..*`, "x.ann.x", false},
		{"dot and star in the name", ".*", "/", `{username}\.x`, "bob.x", false},
		{"dot and star stand for themselves", ".*", "/", `{username}\.x`, ".*.x", true},
		{"alternative in the name", "a|b.*", "/", `{username}`, "bob", false},
		{"group in the name", "a)|(.*", "/", `({username})`, "bob", false},
		{"range in a class", "a-z", "/", `[{username}]+`, "m", false},
		{"range stands for itself", "a-z", "/", `[{username}]+`, "z-a", true},
		{"class closed by the name", "a].*[b", "/", `[{username}]+`, "xyz", false},
		{"class negated by the name", "^a", "/", `[{username}]+`, "xyz", false},
		{"class name", ":alpha:", "/", `[[{username}]]+`, "m", false},
		{"backslash", `\d`, "/", `{username}`, "7", false},
		{"letters are not escapes", "d", "/", `{username}`, "d", true},
		{"beyond ASCII", "jürgen", "/", `{username}`, "jürgen", true},
		{"virtual host", "ann", "/a+b", `{vhost}\.x`, "/a+b.x", true},
		{"virtual host is quoted", "ann", "/a+b", `{vhost}\.x`, "/aab.x", false},
		{"unknown variable", "ann", "/", `{client_id}\.x`, "ann.x", false},
		{"empty pattern", "ann", "/", "", "x", false},
		{"empty pattern, empty key", "ann", "/", "", "", true},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t, User{
				Name: tc.user, Permissions: map[string]Permission{tc.vhost: AllPermissions()},
				Topics: map[string]map[string]TopicPermission{
					tc.vhost: {"t": {Write: tc.pattern, Read: ".*"}},
				},
			})
			if got := s.Allowed(tc.user, tc.vhost, WriteTopic, "t", tc.key); got != tc.want {
				t.Errorf("%q against %q as %q: %v, want %v", tc.key, tc.pattern, tc.user, got,
					tc.want)
			}
			if !s.Allowed(tc.user, tc.vhost, ReadTopic, "t", tc.key) {
				t.Error("the write pattern was asked for a read")
			}
			if !s.Allowed(tc.user, tc.vhost, WriteTopic, "unlimited", tc.key) {
				t.Error("an exchange without topic permission is limited")
			}
			if s.Allowed(tc.user, "other", WriteTopic, "unlimited", tc.key) {
				t.Error("a virtual host without permission is open to topics")
			}
		})
	}
}

// What RabbitMQ's patterns allow, which may match anywhere, their anchored forms allow too.
func TestUnanchored(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		pattern string
		yes, no []string
	}{
		{"", nil, []string{"a", "amq.default"}},
		{"foo", []string{"foo", "foobar", "a foo b", "\nfoo\n"}, []string{"fo", "bar"}},
		{"^foo", []string{"foo", "foobar"}, []string{"a foo"}},
		{"foo$", []string{"foo", "a foo"}, []string{"foobar"}},
		{"^foo$|^bar", []string{"foo", "barn"}, []string{"food", "abar"}},
		{"^$", []string{""}, []string{"a"}},
	}
	for _, tc := range testCases {
		anchored, err := Unanchored(tc.pattern)
		if err != nil {
			t.Fatal(err)
		}
		compiled, err := compile(anchored, maxExpandedBytes)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range tc.yes {
			if !compiled.MatchString(name) {
				t.Errorf("%q does not match %q", tc.pattern, name)
			}
		}
		for _, name := range tc.no {
			if compiled.MatchString(name) {
				t.Errorf("%q matches %q", tc.pattern, name)
			}
		}
	}
	if _, err := Unanchored("a)|(b"); err == nil {
		t.Error("a pattern that leaves its group is accepted")
	}
}

func TestPutRefuses(t *testing.T) {
	t.Parallel()
	on := func(p Permission) map[string]Permission { return map[string]Permission{"/": p} }
	testCases := []struct {
		name string
		user User
	}{
		{"no name", User{}},
		{"long name", User{Name: strings.Repeat("n", 256)}},
		{"many tags", User{Name: "u", Tags: make([]string, 17)}},
		{"empty tag", User{Name: "u", Tags: []string{""}}},
		{"bad pattern", User{Name: "u", Permissions: on(Permission{Read: "("})}},
		{"group left", User{Name: "u", Permissions: on(Permission{Read: "a)|(?:.*"})}},
		{"look-ahead", User{Name: "u", Permissions: on(Permission{Write: "(?!a).*"})}},
		{"long pattern", User{Name: "u", Permissions: on(Permission{
			Configure: strings.Repeat("a", MaxPatternBytes+1),
		})}},
		{"bad vhost", User{Name: "u", Permissions: map[string]Permission{"": {}}}},
		{"bad topic pattern", User{Name: "u", Topics: map[string]map[string]TopicPermission{
			"/": {"x": {Write: "["}},
		}}},
		{"topic pattern explodes", User{
			Name: strings.Repeat("*", 255),
			Topics: map[string]map[string]TopicPermission{
				"/": {"x": {Read: strings.Repeat("{username}", 100)}},
			},
		}},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			if err := s.Put(tc.user); !errors.Is(err, ErrInvalid) {
				t.Errorf("Put = %v, want ErrInvalid", err)
			}
			if len(s.Users()) != 1 {
				t.Error("a refused user is there")
			}
		})
	}
	if _, err := New(Options{Users: []User{{}, {Name: "ok"}, {Name: "b", Tags: []string{""}}}}); err ==
		nil || strings.Count(err.Error(), "put user") != 2 {
		t.Errorf("New tells %v, want both faults", err)
	}
}

// Every change takes hold at once, for what was remembered too, and moves Version.
func TestChanges(t *testing.T) {
	t.Parallel()
	s := newStore(t, User{Name: "ann"})
	step := func(what string, want bool, change func() error) {
		t.Helper()
		before := s.Version()
		if err := change(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if s.Version() == before {
			t.Errorf("%s: the version stays", what)
		}
		for range 2 {
			if got := s.Allowed("ann", "/", Write, "q", ""); got != want {
				t.Errorf("%s: write allowed %v, want %v", what, got, want)
			}
		}
	}
	topic := Topic{VHost: "/", Exchange: "t"}
	step("set", true, func() error { return s.SetPermission("ann", "/", AllPermissions()) })
	step("replace", false, func() error {
		return s.SetPermission("ann", "/", Permission{Configure: "", Write: "r", Read: ".*"})
	})
	step("set again", true, func() error { return s.SetPermission("ann", "/", AllPermissions()) })
	step("topic", true, func() error {
		return s.SetTopicPermission("ann", topic, TopicPermission{Write: "a", Read: "a"})
	})
	if s.Allowed("ann", "/", WriteTopic, "t", "b") {
		t.Error("the topic permission does not hold")
	}
	step("clear topic", true, func() error { return s.ClearTopicPermission("ann", topic) })
	if !s.Allowed("ann", "/", WriteTopic, "t", "b") {
		t.Error("the topic permission still holds")
	}
	step("clear", false, func() error { return s.ClearPermission("ann", "/") })
	step("set once more", true, func() error { return s.SetPermission("ann", "/", AllPermissions()) })
	step("drop vhost", false, func() error { return s.DropVHost("/") })
	if user, _ := s.User("ann"); len(user.Permissions) != 0 {
		t.Errorf("after DropVHost the user has %v", user.Permissions)
	}
	step("put", true, func() error {
		return s.Put(User{Name: "ann", Permissions: map[string]Permission{"/": AllPermissions()}})
	})
	step("delete", false, func() error { return s.Delete("ann") })
	for what, err := range map[string]error{
		"delete": s.Delete("ann"), "set": s.SetPermission("ann", "/", AllPermissions()),
	} {
		if !errors.Is(err, ErrNoUser) {
			t.Errorf("%s a deleted user: %v, want ErrNoUser", what, err)
		}
	}
}

// What a caller gets is a copy.
func TestUsersAreCopies(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	user, ok := s.User("guest")
	if !ok || !user.HasTag(TagAdministrator) || user.HasTag(TagMonitoring) {
		t.Fatalf("guest is %+v", user)
	}
	user.Tags[0] = "x"
	user.Permissions["/"] = Permission{}
	s.Users()[0].Permissions["/"] = Permission{}
	if again, _ := s.User("guest"); !again.HasTag(TagAdministrator) ||
		!s.Allowed("guest", "/", Write, "q", "") {
		t.Error("a change of a copy changed the user")
	}
}

// L10: what clients ask for does not make the memory grow without bound.
func TestSecL10AnswersAreBounded(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for i := range 3*cacheEntries + 5 {
		if !s.Allowed("guest", "/", WriteTopic, "t", fmt.Sprint("key", i)) {
			t.Fatal("refused")
		}
	}
	if n := len(s.cache.young) + len(s.cache.old); n > 2*cacheEntries {
		t.Errorf("%d answers are remembered, want at most %d", n, 2*cacheEntries)
	}
}

// An answer that was worked out from the users as they were is not remembered for those that
// are.
func TestStaleAnswerIsDropped(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	q := question{user: "guest", vhost: "/", resource: "q", key: "", action: Write}
	version := s.Version()
	if err := s.Delete("guest"); err != nil {
		t.Fatal(err)
	}
	s.cache.put(q, true, version)
	if s.Allowed("guest", "/", Write, "q", "") {
		t.Error("a deleted user may write")
	}
}

func TestAllowedWhileUsersChange(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for i := range 500 {
				s.Allowed("guest", "/", WriteTopic, "t", fmt.Sprint(i%50))
				s.MayOpen("guest", "/")
			}
		})
	}
	for range 100 {
		if err := s.SetPermission("guest", "/", AllPermissions()); err != nil {
			t.Error(err)
		}
		if err := s.DropVHost("other"); err != nil {
			t.Error(err)
		}
	}
	workers.Wait()
	if err := s.ClearPermission("guest", "/"); err != nil {
		t.Fatal(err)
	}
	if s.Allowed("guest", "/", WriteTopic, "t", "1") {
		t.Error("an old answer outlived the change")
	}
}

func TestAllowedDoesNotAllocate(t *testing.T) {
	s := newStore(t)
	key := []byte("a.routing.key")
	ask := func() {
		if !s.Allowed("guest", "/", WriteTopic, "amq.topic", string(key)) {
			t.Fatal("refused")
		}
	}
	ask()
	// One for the string of the test itself.
	if got := testing.AllocsPerRun(100, ask); got > 1 {
		t.Errorf("%v allocations, want at most 1", got)
	}
}

func BenchmarkAllowed(b *testing.B) {
	s := newStore(b)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			s.Allowed("guest", "/", Write, "amq.default", "")
		}
	})
}
