// SPDX-License-Identifier: Apache-2.0

package console

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/parley-ipc/parley/internal/auth"
)

// tagsOf returns a user's tags, never null.
func tagsOf(u *auth.User) []string { return append([]string{}, u.Tags...) }

// showUser is what an administrator sees of a user; the hash is what RabbitMQ shows too, so that
// definitions can move it.
func showUser(u *auth.User) object {
	return object{
		"name": u.Name, "password_hash": u.Hash.Text(), "hashing_algorithm": u.Hash.Algorithm(),
		"tags": tagsOf(u), "limits": limitsOf(u),
	}
}

func limitsOf(u *auth.User) map[string]int {
	if u.Limits == nil {
		return map[string]int{}
	}
	return u.Limits
}

func listUsers(v *visit) error {
	return v.listUsers(func(*auth.User) bool { return true })
}

func listUsersWithout(v *visit) error {
	return v.listUsers(func(u *auth.User) bool { return len(u.Permissions) == 0 })
}

func (v *visit) listUsers(which func(*auth.User) bool) error {
	var rows []row
	for _, u := range v.console.options.Users.Users() {
		if which(&u) {
			rows = append(rows, row{u.Name, func() object { return showUser(&u) }})
		}
	}
	return v.list(rows)
}

// theUser returns the user that the path names.
func (v *visit) theUser() (auth.User, error) {
	u, ok := v.console.options.Users.User(v.name("user"))
	if !ok {
		return u, errNotFound
	}
	return u, nil
}

func getUser(v *visit) error {
	u, err := v.theUser()
	if err != nil {
		return err
	}
	return v.ok(showUser(&u))
}

// tagList reads tags as a list, or as one text with commas.
type tagList []string

// UnmarshalJSON implements json.Unmarshaler.
func (t *tagList) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) == nil {
		*t = tagList{}
		for tag := range strings.SplitSeq(text, ",") {
			if tag = strings.TrimSpace(tag); tag != "" {
				*t = append(*t, tag)
			}
		}
		return nil
	}
	var list []string
	if err := json.Unmarshal(data, &list); err != nil {
		return badRequest("tags must be a text with commas or a list of texts")
	}
	*t = append(tagList{}, list...) // an empty list is not none
	return nil
}

// userBody is a user in JSON, as requests and definitions have it.
type userBody struct {
	Name      string  `json:"name"`
	Password  *string `json:"password"`
	Hash      *string `json:"password_hash"`
	Algorithm *string `json:"hashing_algorithm"`
	Tags      tagList `json:"tags"`
	// Limits are in definitions only.
	Limits limitMap `json:"limits"`
}

// limitMap are a user's limits by name.
type limitMap map[string]int

// UnmarshalJSON implements json.Unmarshaler.
func (l *limitMap) UnmarshalJSON(data []byte) error {
	if string(data) == "[]" { // what an empty object is in Erlang's JSON
		*l = limitMap{}
		return nil
	}
	var m map[string]int
	if err := json.Unmarshal(data, &m); err != nil {
		return badRequest("limits must be numbers by name")
	}
	*l = m
	return nil
}

// hash reads the stored form of a password.
func (b *userBody) hash() (auth.Hash, error) {
	if b.Hash == nil {
		return auth.Hash{}, nil
	}
	hash, err := auth.ParseHash(*b.Hash)
	if err != nil {
		return hash, badRequest("user '%s': %v", b.Name, err)
	}
	if b.Algorithm != nil && *b.Hash != "" && *b.Algorithm != hash.Algorithm() {
		return hash, badRequest("user '%s': the password hash is not of the algorithm %s", b.Name,
			*b.Algorithm)
	}
	return hash, nil
}

// putUser adds a user or changes one: the password, or its hash, or neither and then nobody can
// log in with one; and the tags, which have to be there.
func putUser(v *visit) error {
	var body userBody
	if err := v.read(&body); err != nil {
		return err
	}
	body.Name = v.name("user")
	if body.Tags == nil {
		return badRequest("tags_not_present")
	}
	if body.Password != nil && body.Hash != nil {
		return badRequest("password and password_hash exclude each other")
	}
	hash, err := body.hash()
	if err != nil {
		return err
	}
	users := v.console.options.Users
	if body.Password != nil && *body.Password != "" {
		if hash, err = users.HashPassword(v.r.Context(), auth.NewSecret(*body.Password)); err != nil {
			return err
		}
	}
	created, err := users.SetLogin(body.Name, auth.Login{Hash: hash, Tags: body.Tags})
	if err != nil {
		return err
	}
	return v.made(created)
}

func deleteUser(v *visit) error {
	if err := v.dropUser(v.name("user")); err != nil {
		return err
	}
	return v.noContent()
}

// dropUser deletes a user and closes what they have open.
func (v *visit) dropUser(name string) error {
	if err := v.console.options.Users.Delete(name); err != nil {
		return err
	}
	for _, c := range v.console.options.Broker.Connections() {
		if c.User == name {
			c.ForceClose("user '" + name + "' was deleted")
		}
	}
	return nil
}

// usersDeletedMax bounds a request to delete users.
const usersDeletedMax = 10_000

func deleteUsers(v *visit) error {
	var body struct {
		Users []string `json:"users"`
	}
	if err := v.read(&body); err != nil {
		return err
	}
	if len(body.Users) > usersDeletedMax {
		return badRequest("more than %d users", usersDeletedMax)
	}
	slices.Sort(body.Users)
	for _, name := range slices.Compact(body.Users) {
		if _, ok := v.console.options.Users.User(name); !ok {
			continue
		}
		if err := v.dropUser(name); err != nil {
			return err
		}
	}
	return v.noContent()
}
