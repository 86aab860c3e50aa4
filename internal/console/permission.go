// SPDX-License-Identifier: Apache-2.0

package console

import (
	"strings"

	"github.com/parley-ipc/parley/internal/auth"
)

// The patterns of the API may match anywhere in a name, those of internal/auth have to match all
// of it: what comes in is widened, what goes out is the same pattern again, or one that is anchored
// and so means the same.
const (
	anything   = ".*"
	wideBefore = ".*(?:"
	wideAfter  = ").*"
)

func readPattern(pattern string) (string, error) {
	if pattern == anything {
		return pattern, nil
	}
	wide, err := auth.Unanchored(pattern)
	if err != nil {
		return "", badRequest("%v", err)
	}
	return wide, nil
}

func showPattern(pattern string) string {
	switch {
	case pattern == "" || pattern == anything:
		return pattern
	case strings.HasPrefix(pattern, wideBefore) && strings.HasSuffix(pattern, wideAfter):
		return pattern[len(wideBefore) : len(pattern)-len(wideAfter)]
	}
	return "^(?:" + pattern + ")$"
}

// permissionBody is a permission in JSON, as requests and definitions have it.
type permissionBody struct {
	User      string  `json:"user"`
	VHost     string  `json:"vhost"`
	Configure *string `json:"configure"`
	Write     *string `json:"write"`
	Read      *string `json:"read"`
}

func (b *permissionBody) permission() (auth.Permission, error) {
	var p auth.Permission
	if b.Configure == nil || b.Write == nil || b.Read == nil {
		return p, badRequest("configure, write and read are required")
	}
	var err error
	if p.Configure, err = readPattern(*b.Configure); err != nil {
		return p, err
	}
	if p.Write, err = readPattern(*b.Write); err != nil {
		return p, err
	}
	p.Read, err = readPattern(*b.Read)
	return p, err
}

func showPermission(user, vhost string, p auth.Permission) object {
	return object{
		"user": user, "vhost": vhost, "configure": showPattern(p.Configure),
		"write": showPattern(p.Write), "read": showPattern(p.Read),
	}
}

func (v *visit) listPermissions(which func(user, vhost string) bool) error {
	var rows []row
	for _, u := range v.console.options.Users.Users() {
		for vhost, p := range u.Permissions {
			if which(u.Name, vhost) {
				rows = append(rows, row{
					vhost + "\x00" + u.Name,
					func() object { return showPermission(u.Name, vhost, p) },
				})
			}
		}
	}
	return v.list(rows)
}

func listPermissions(v *visit) error {
	return v.listPermissions(func(string, string) bool { return true })
}

func listUserPermissions(v *visit) error {
	u, err := v.theUser()
	if err != nil {
		return err
	}
	return v.listPermissions(func(user, _ string) bool { return user == u.Name })
}

func listVHostPermissions(v *visit) error {
	if _, err := v.theVHost(); err != nil {
		return err
	}
	return v.listPermissions(func(_, vhost string) bool { return vhost == v.name("vhost") })
}

func getPermission(v *visit) error {
	u, err := v.theUser()
	if err != nil {
		return err
	}
	p, ok := u.Permissions[v.name("vhost")]
	if !ok {
		return errNotFound
	}
	return v.ok(showPermission(u.Name, v.name("vhost"), p))
}

// checkBoth refuses a permission of nobody, or nowhere.
func (v *visit) checkBoth() error {
	_, err := v.theVHost()
	if err == nil {
		_, err = v.theUser()
	}
	if err != nil {
		return badRequest("vhost_or_user_not_found")
	}
	return nil
}

func putPermission(v *visit) error {
	var body permissionBody
	if err := v.read(&body); err != nil {
		return err
	}
	p, err := body.permission()
	if err != nil {
		return err
	}
	if err := v.checkBoth(); err != nil {
		return err
	}
	u, _ := v.console.options.Users.User(v.name("user"))
	_, had := u.Permissions[v.name("vhost")]
	err = v.console.options.Users.SetPermission(v.name("user"), v.name("vhost"), p)
	if err != nil {
		return err
	}
	return v.made(!had)
}

func deletePermission(v *visit) error {
	u, err := v.theUser()
	if err != nil {
		return err
	}
	if _, ok := u.Permissions[v.name("vhost")]; !ok {
		return errNotFound
	}
	if err := v.console.options.Users.ClearPermission(u.Name, v.name("vhost")); err != nil {
		return err
	}
	return v.noContent()
}
