// SPDX-License-Identifier: Apache-2.0

package console

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/parley-ipc/parley/internal/broker"
)

// handler answers one request; an error becomes the answer.
type handler func(v *visit) error

// route is one row of the table of routes: whoever has the role, and a permission in {vhost} if
// there is one, may use it. A segment in braces takes any name, percent-encoded; of rows that fit,
// the first counts. A final slash is ignored, and a GET answers HEAD too.
type route struct {
	method, pattern string
	role            role
	handle          handler
}

// table is every route there is (management.md). docs/management.md shows it.
func (c *Console) table() []route {
	return slices.Concat(
		c.hubTable(), c.brokerTable(), c.userTable(), c.parameterTable(), c.metricsTable(),
	)
}

// hubTable are the routes about the hub itself, its connections and its virtual hosts.
func (c *Console) hubTable() []route {
	return []route{
		{"GET", "/", public, home},
		{"GET", "/api", public, home},
		{"GET", "/api/overview", management, getOverview},
		{"GET", "/api/whoami", management, whoAmI},
		{"GET", "/api/auth", public, getAuth},
		{"GET", "/api/version", management, getVersion},
		{"GET", "/api/cluster-name", management, getClusterName},
		{"GET", "/api/nodes", monitoring, listNodes},
		{"GET", "/api/nodes/{node}", monitoring, getNode},
		{"GET", "/api/extensions", management, emptyList},
		{"GET", "/api/feature-flags", administrator, emptyList},
		{"GET", "/api/deprecated-features", administrator, emptyList},
		{"GET", "/api/deprecated-features/used", administrator, emptyList},
		{"GET", "/api/auth/attempts/{node}", administrator, emptyList},
		{"GET", "/api/auth/attempts/{node}/source", administrator, emptyList},

		{"GET", "/api/aliveness-test/{vhost}", management, testAliveness},
		{"GET", "/api/healthchecks/node", management, checkAlarms},
		{"GET", "/api/health/checks/alarms", management, checkAlarms},
		{"GET", "/api/health/checks/local-alarms", management, checkAlarms},
		{"GET", "/api/health/checks/virtual-hosts", management, checkVirtualHosts},
		{"GET", "/api/health/checks/port-listener/{port}", management, checkPort},
		{"GET", "/api/health/checks/protocol-listener/{protocol}", management, checkProtocol},
		{"GET", "/api/health/checks/node-is-mirror-sync-critical", management, checkOK},
		{"GET", "/api/health/checks/node-is-quorum-critical", management, checkOK},
		{"GET", "/api/health/checks/ready-to-serve-clients", management, checkReady},

		{"GET", "/api/connections", management, listConnections},
		{"GET", "/api/connections/{name}", management, getConnection},
		{"DELETE", "/api/connections/{name}", management, closeConnection},
		{"GET", "/api/connections/username/{user}", management, listUserConnections},
		{"DELETE", "/api/connections/username/{user}", management, closeUserConnections},
		{"GET", "/api/vhosts/{vhost}/connections", management, listConnections},

		{"GET", "/api/vhosts", management, listVHosts},
		{"GET", "/api/vhosts/{vhost}", management, getVHost},
		{"PUT", "/api/vhosts/{vhost}", administrator, putVHost},
		{"DELETE", "/api/vhosts/{vhost}", administrator, deleteVHost},
		{"GET", "/api/vhosts/{vhost}/permissions", administrator, listVHostPermissions},
		{"GET", "/api/vhosts/{vhost}/topic-permissions", administrator, listVHostTopics},
	}
}

// brokerTable are the routes about exchanges, queues, bindings and who uses them.
func (c *Console) brokerTable() []route {
	return []route{
		{"GET", "/api/channels", management, listChannels},
		{"GET", "/api/channels/{channel}", management, getChannel},
		{"GET", "/api/vhosts/{vhost}/channels", management, listChannels},
		{"GET", "/api/connections/{name}/channels", management, listConnectionChannels},
		{"GET", "/api/consumers", management, listConsumers},
		{"GET", "/api/consumers/{vhost}", management, listConsumers},

		{"GET", "/api/exchanges", management, listExchanges},
		{"GET", "/api/exchanges/{vhost}", management, listExchanges},
		{"GET", "/api/exchanges/{vhost}/{exchange}", management, getExchange},
		{"PUT", "/api/exchanges/{vhost}/{exchange}", management, putExchange},
		{"DELETE", "/api/exchanges/{vhost}/{exchange}", management, deleteExchange},
		{"POST", "/api/exchanges/{vhost}/{exchange}/publish", management, publishToExchange},
		{
			"GET", "/api/exchanges/{vhost}/{exchange}/bindings/source", management,
			listFromExchange,
		},
		{
			"GET", "/api/exchanges/{vhost}/{exchange}/bindings/destination", management,
			listToExchange,
		},

		{"GET", "/api/queues", management, listQueues},
		{"GET", "/api/queues/{vhost}", management, listQueues},
		{"GET", "/api/queues/{vhost}/{queue}", management, getQueue},
		{"PUT", "/api/queues/{vhost}/{queue}", management, putQueue},
		{"DELETE", "/api/queues/{vhost}/{queue}", management, deleteQueue},
		{"DELETE", "/api/queues/{vhost}/{queue}/contents", management, purgeQueue},
		{"POST", "/api/queues/{vhost}/{queue}/get", management, getMessages},
		{"GET", "/api/queues/{vhost}/{queue}/bindings", management, listToQueue},

		{"GET", "/api/bindings", management, listBindings},
		{"GET", "/api/bindings/{vhost}", management, listBindings},
		{"GET", queueBindings, management, listBetween},
		{"POST", queueBindings, management, postBinding},
		{"GET", queueBindings + "/{props}", management, getBinding},
		{"DELETE", queueBindings + "/{props}", management, deleteBinding},
		{"GET", exchangeBindings, management, listBetween},
		{"POST", exchangeBindings, management, postBinding},
		{"GET", exchangeBindings + "/{props}", management, getBinding},
		{"DELETE", exchangeBindings + "/{props}", management, deleteBinding},
	}
}

// The routes of bindings from an exchange to a queue, and to another exchange.
const (
	queueBindings    = "/api/bindings/{vhost}/e/{exchange}/q/{queue}"
	exchangeBindings = "/api/bindings/{vhost}/e/{exchange}/e/{destination}"
)

// userTable are the routes about users and what they may do.
func (c *Console) userTable() []route {
	return []route{
		{"GET", "/api/users", administrator, listUsers},
		{"GET", "/api/users/without-permissions", administrator, listUsersWithout},
		{"POST", "/api/users/bulk-delete", administrator, deleteUsers},
		{"GET", "/api/users/{user}", administrator, getUser},
		{"PUT", "/api/users/{user}", administrator, putUser},
		{"DELETE", "/api/users/{user}", administrator, deleteUser},
		{"GET", "/api/users/{user}/permissions", administrator, listUserPermissions},
		{"GET", "/api/users/{user}/topic-permissions", administrator, listUserTopics},
		{"GET", "/api/permissions", administrator, listPermissions},
		{"GET", "/api/permissions/{vhost}/{user}", administrator, getPermission},
		{"PUT", "/api/permissions/{vhost}/{user}", administrator, putPermission},
		{"DELETE", "/api/permissions/{vhost}/{user}", administrator, deletePermission},
		{"GET", "/api/topic-permissions", administrator, listTopics},
		{"GET", "/api/topic-permissions/{vhost}/{user}", administrator, getTopics},
		{"PUT", "/api/topic-permissions/{vhost}/{user}", administrator, putTopic},
		{"DELETE", "/api/topic-permissions/{vhost}/{user}", administrator, deleteTopics},
		{"DELETE", "/api/topic-permissions/{vhost}/{user}/{exchange}", administrator, deleteTopic},
	}
}

// parameterTable are the routes of policies, parameters, limits and definitions.
func (c *Console) parameterTable() []route {
	user, operator := policies{broker.UserPolicy}, policies{broker.OperatorPolicy}
	return []route{
		{"GET", "/api/policies", management, user.list},
		{"GET", "/api/policies/{vhost}", management, user.list},
		{"GET", "/api/policies/{vhost}/{name}", policymaker, user.get},
		{"PUT", "/api/policies/{vhost}/{name}", policymaker, user.put},
		{"DELETE", "/api/policies/{vhost}/{name}", policymaker, user.delete},
		{"GET", "/api/operator-policies", management, operator.list},
		{"GET", "/api/operator-policies/{vhost}", management, operator.list},
		{"GET", "/api/operator-policies/{vhost}/{name}", administrator, operator.get},
		{"PUT", "/api/operator-policies/{vhost}/{name}", administrator, operator.put},
		{"DELETE", "/api/operator-policies/{vhost}/{name}", administrator, operator.delete},

		{"GET", "/api/parameters", policymaker, listParameters},
		{"GET", "/api/parameters/{component}", policymaker, listParameters},
		{"GET", "/api/parameters/{component}/{vhost}", policymaker, listParameters},
		{"GET", "/api/parameters/{component}/{vhost}/{name}", policymaker, getParameter},
		{"PUT", "/api/parameters/{component}/{vhost}/{name}", policymaker, putParameter},
		{"DELETE", "/api/parameters/{component}/{vhost}/{name}", policymaker, deleteParameter},
		{"GET", "/api/global-parameters", policymaker, listGlobals},
		{"GET", "/api/global-parameters/{name}", policymaker, getGlobal},
		{"PUT", "/api/global-parameters/{name}", policymaker, putGlobal},
		{"DELETE", "/api/global-parameters/{name}", policymaker, deleteGlobal},

		{"GET", "/api/definitions", administrator, getDefinitions},
		{"POST", "/api/definitions", administrator, postDefinitions},
		{"GET", "/api/definitions/{vhost}", administrator, getDefinitions},
		{"POST", "/api/definitions/{vhost}", administrator, postDefinitions},

		{"GET", "/api/vhost-limits", management, listVHostLimits},
		{"GET", "/api/vhost-limits/{vhost}", management, listVHostLimits},
		{"PUT", "/api/vhost-limits/{vhost}/{limit}", administrator, putVHostLimit},
		{"DELETE", "/api/vhost-limits/{vhost}/{limit}", administrator, deleteVHostLimit},
		{"GET", "/api/user-limits", administrator, listUserLimits},
		{"GET", "/api/user-limits/{user}", administrator, listUserLimits},
		{"PUT", "/api/user-limits/{user}/{limit}", administrator, putUserLimit},
		{"DELETE", "/api/user-limits/{user}/{limit}", administrator, deleteUserLimit},
	}
}

// routes finds rows by the number of segments of their patterns.
type routes map[int][]compiled

type compiled struct {
	route
	segments []string
}

func newRoutes(table []route) routes {
	r := make(routes)
	for _, row := range table {
		segments := split(row.pattern)
		r[len(segments)] = append(r[len(segments)], compiled{row, segments})
	}
	return r
}

// split cuts a path into its segments, which are still escaped; it ignores one final slash.
func split(path string) []string {
	path = strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/")
	if path == "" {
		return nil
	}
	return strings.Split(path, "/")
}

// match returns the row for a method and an escaped path, with the values of its names.
func (r routes) match(method, path string) (*route, map[string]string, error) {
	segments := split(path)
	for i, s := range segments {
		name, err := url.PathUnescape(s)
		if err != nil || name == "" {
			return nil, nil, errNotFound
		}
		segments[i] = name
	}
	var allow []string
	fits := "" // the pattern of the first row that fits: rows behind it are other routes
	for i := range r[len(segments)] {
		row := &r[len(segments)][i]
		if fits != "" && row.pattern != fits {
			continue
		}
		values, ok := row.fits(segments)
		if !ok {
			continue
		}
		fits = row.pattern
		if row.method == method || (method == http.MethodHead && row.method == http.MethodGet) {
			return &row.route, values, nil
		}
		allow = append(allow, row.method)
	}
	if allow == nil {
		return nil, nil, errNotFound
	}
	return nil, nil, &fault{
		status: http.StatusMethodNotAllowed, word: "method_not_allowed",
		reason: "Method Not Allowed", allow: strings.Join(append(allow, "OPTIONS"), ", "),
	}
}

func (c *compiled) fits(segments []string) (map[string]string, bool) {
	var values map[string]string
	for i, want := range c.segments {
		name, ok := strings.CutPrefix(want, "{")
		switch {
		case ok:
			if values == nil {
				values = make(map[string]string)
			}
			values[strings.TrimSuffix(name, "}")] = segments[i]
		case want != segments[i]:
			return nil, false
		}
	}
	return values, true
}
