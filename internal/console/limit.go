// SPDX-License-Identifier: Apache-2.0

package console

import "github.com/parley-ipc/parley/internal/auth"

// limitBody sets a limit.
type limitBody struct {
	Value *integer `json:"value"`
}

func (v *visit) readLimit() (int64, error) {
	var body limitBody
	if err := v.read(&body); err != nil {
		return 0, err
	}
	if body.Value == nil {
		return 0, badRequest("value is required")
	}
	return int64(*body.Value), nil
}

func listVHostLimits(v *visit) error {
	var rows []row
	for _, vh := range v.scope() {
		if limits := vh.Limits(); len(limits) > 0 {
			rows = append(rows, row{vh.Name(), func() object {
				return object{"vhost": vh.Name(), "value": limits}
			}})
		}
	}
	return v.list(rows)
}

func putVHostLimit(v *visit) error {
	n, err := v.readLimit()
	if err != nil {
		return err
	}
	vh, err := v.theVHost()
	if err != nil {
		return err
	}
	if err := vh.SetLimit(v.name("limit"), n); err != nil {
		return plain(err)
	}
	return v.noContent()
}

func deleteVHostLimit(v *visit) error {
	vh, err := v.theVHost()
	if err != nil {
		return err
	}
	if err := vh.ClearLimit(v.name("limit")); err != nil {
		return plain(err)
	}
	return v.noContent()
}

func listUserLimits(v *visit) error {
	var rows []row
	for _, u := range v.console.options.Users.Users() {
		if name, one := v.values["user"]; len(u.Limits) > 0 && (!one || name == u.Name) {
			rows = append(rows, row{u.Name, func() object {
				return object{"user": u.Name, "value": u.Limits}
			}})
		}
	}
	return v.list(rows)
}

func putUserLimit(v *visit) error {
	n, err := v.readLimit()
	if err != nil {
		return err
	}
	u, err := v.theUser()
	if err != nil {
		return err
	}
	limit := v.name("limit")
	if limit != auth.LimitConnections && limit != auth.LimitChannels {
		return badRequest("Unrecognised terms [{<<\"%.64s\">>,%d}] in user-limits", limit, n)
	}
	if err := v.console.options.Users.SetUserLimit(u.Name, limit, int(n)); err != nil {
		return err
	}
	return v.noContent()
}

func deleteUserLimit(v *visit) error {
	u, err := v.theUser()
	if err != nil {
		return err
	}
	if err := v.console.options.Users.ClearUserLimit(u.Name, v.name("limit")); err != nil {
		return err
	}
	return v.noContent()
}
