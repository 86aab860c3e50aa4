// SPDX-License-Identifier: Apache-2.0

package console

import "github.com/parley-ipc/parley/internal/auth"

// topicBody is a topic permission in JSON, as requests and definitions have it.
type topicBody struct {
	User     string  `json:"user"`
	VHost    string  `json:"vhost"`
	Exchange *string `json:"exchange"`
	Write    *string `json:"write"`
	Read     *string `json:"read"`
}

func (b *topicBody) permission() (auth.TopicPermission, error) {
	var p auth.TopicPermission
	if b.Exchange == nil || b.Write == nil || b.Read == nil {
		return p, badRequest("exchange, write and read are required")
	}
	var err error
	if p.Write, err = readPattern(*b.Write); err != nil {
		return p, err
	}
	p.Read, err = readPattern(*b.Read)
	return p, err
}

func showTopic(user string, t auth.Topic, p auth.TopicPermission) object {
	return object{
		"user": user, "vhost": t.VHost, "exchange": t.Exchange, "write": showPattern(p.Write),
		"read": showPattern(p.Read),
	}
}

// topicRows lists topic permissions: of one user, or of all, and in one virtual host, or in all.
func (v *visit) topicRows(user, vhost string) []row {
	var rows []row
	for _, u := range v.console.options.Users.Users() {
		if user != "" && u.Name != user {
			continue
		}
		for in, exchanges := range u.Topics {
			if vhost != "" && in != vhost {
				continue
			}
			for exchange, p := range exchanges {
				t := auth.Topic{VHost: in, Exchange: exchange}
				rows = append(rows, row{
					in + "\x00" + exchange + "\x00" + u.Name,
					func() object { return showTopic(u.Name, t, p) },
				})
			}
		}
	}
	return rows
}

func listTopics(v *visit) error { return v.list(v.topicRows("", "")) }

func listUserTopics(v *visit) error {
	if _, err := v.theUser(); err != nil {
		return err
	}
	return v.list(v.topicRows(v.name("user"), ""))
}

func listVHostTopics(v *visit) error {
	if _, err := v.theVHost(); err != nil {
		return err
	}
	return v.list(v.topicRows("", v.name("vhost")))
}

func getTopics(v *visit) error {
	rows := v.topicRows(v.name("user"), v.name("vhost"))
	if len(rows) == 0 {
		return errNotFound
	}
	return v.list(rows)
}

func putTopic(v *visit) error {
	var body topicBody
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
	t := auth.Topic{VHost: v.name("vhost"), Exchange: *body.Exchange}
	_, had := u.Topics[t.VHost][t.Exchange]
	if err := v.console.options.Users.SetTopicPermission(u.Name, t, p); err != nil {
		return err
	}
	return v.made(!had)
}

// deleteTopics takes all topic permissions of a user in a virtual host away.
func deleteTopics(v *visit) error {
	u, err := v.theUser()
	if err != nil {
		return err
	}
	exchanges := u.Topics[v.name("vhost")]
	if len(exchanges) == 0 {
		return errNotFound
	}
	for exchange := range exchanges {
		t := auth.Topic{VHost: v.name("vhost"), Exchange: exchange}
		if err := v.console.options.Users.ClearTopicPermission(u.Name, t); err != nil {
			return err
		}
	}
	return v.noContent()
}

func deleteTopic(v *visit) error {
	u, err := v.theUser()
	if err != nil {
		return err
	}
	t := auth.Topic{VHost: v.name("vhost"), Exchange: v.name("exchange")}
	if _, ok := u.Topics[t.VHost][t.Exchange]; !ok {
		return errNotFound
	}
	if err := v.console.options.Users.ClearTopicPermission(u.Name, t); err != nil {
		return err
	}
	return v.noContent()
}
