// SPDX-License-Identifier: Apache-2.0

package console

import "testing"

// TestPolicies: a policy of a user acts within the operator's, and queues say which.
func TestPolicies(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.do("PUT", "/api/queues/%2F/ab", `{"durable":true}`).want(201)
	const policy = `{"pattern":"^a","definition":{"max-length":5},"priority":"1","apply-to":"queues"}`
	h.as("policymaker", "PUT", "/api/policies/%2F/p", policy).want(201)
	h.as("policymaker", "PUT", "/api/policies/%2F/p", policy).want(204)
	h.do("PUT", "/api/operator-policies/%2F/o", `{"pattern":"b","definition":{"max-length":3}}`).
		want(201)
	h.do("GET", "/api/queues/%2F/ab", "").want(200, `"policy":"p"`, `"operator_policy":"o"`,
		`"effective_policy_definition":{"max-length":3}`)
	h.do("GET", "/api/policies", "").want(200, `[{"apply-to":"queues","definition":`+
		`{"max-length":5},"name":"p","pattern":"^a","priority":1,"vhost":"/"}]`)
	h.as("policymaker", "GET", "/api/operator-policies/%2F", "").want(200, `"name":"o"`)
	for body, reason := range map[string]string{
		`{"pattern":"(","definition":{"max-length":5}}`: "Validation failed",
		`{"pattern":"a","definition":{"nope":5}}`:       "not recognised policy settings",
		`{"definition":{"max-length":5}}`:               "pattern and definition are required",
		`{"pattern":"a","definition":[]}`:               "must be an object",
	} {
		h.do("PUT", "/api/policies/%2F/bad", body).want(400, "bad_request", reason)
	}
	h.do("DELETE", "/api/policies/%2F/p", "").want(204)
	h.do("DELETE", "/api/policies/%2F/p", "").want(404)
	h.do("GET", "/api/policies/%2F/p", "").want(404)
	h.do("GET", "/api/queues/%2F/ab", "").want(200, `"policy":null`)
}

func TestParameters(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.do("PUT", "/api/global-parameters/g", `{"value":{"a":1}}`).want(201)
	h.do("PUT", "/api/global-parameters/g", `{"value":{"a":2}}`).want(204)
	h.do("PUT", "/api/global-parameters/g", `{}`).want(400, "value is required")
	h.do("GET", "/api/global-parameters", "").want(200, `{"name":"g","value":{"a":2}}`)
	h.do("GET", "/api/global-parameters/g", "").want(200)
	h.do("DELETE", "/api/global-parameters/g", "").want(204)
	h.do("DELETE", "/api/global-parameters/g", "").want(404)

	h.do("PUT", "/api/vhost-limits/%2F/max-connections", `{"value":5}`).want(204)
	h.do("GET", "/api/vhost-limits", "").want(200, `[{"value":{"max-connections":5},"vhost":"/"}]`)
	h.do("GET", "/api/parameters/vhost-limits/%2F/limits", "").want(200, `"max-connections":5`)
	h.do("GET", "/api/parameters/vhost-limits", "").want(200, `"component":"vhost-limits"`)
	h.do("PUT", "/api/vhost-limits/%2F/nope", `{"value":5}`).want(400, "Validation failed")
	h.do("DELETE", "/api/vhost-limits/%2F/max-connections", "").want(204)

	h.do("PUT", "/api/user-limits/none/max-channels", `{"value":"5"}`).want(204)
	h.do("PUT", "/api/user-limits/none/nope", `{"value":5}`).want(400, "Unrecognised")
	h.do("GET", "/api/user-limits", "").want(200, `[{"user":"none","value":{"max-channels":5}}]`)
	h.do("GET", "/api/users/none", "").want(200, `"limits":{"max-channels":5}`)
	h.do("DELETE", "/api/user-limits/none/max-channels", "").want(204)
	h.do("GET", "/api/user-limits/none", "").want(200, "[]")
}

// TestSecH12Parameters: what a route of its own keeps for administrators is not to be had as a
// parameter.
func TestSecH12Parameters(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	for component, value := range map[string]string{
		"operator_policy": `{"pattern":"","definition":{"max-length":1},"priority":0}`,
		"vhost-limits":    `{"max-connections":1}`,
		"vhost-metadata":  `{"description":"x"}`,
	} {
		path := "/api/parameters/" + component + "/%2F/limits"
		h.as("policymaker", "PUT", path, `{"value":`+value+`}`).want(401)
		h.as("policymaker", "DELETE", path, "").want(401)
	}
}

func TestVHostMetadata(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.do("PUT", "/api/vhosts/v", `{"description":"d","tags":"a,b","default_queue_type":"quorum"}`).
		want(201)
	h.do("PUT", "/api/vhosts/v", "").want(204)
	h.do("GET", "/api/vhosts/v", "").want(200, `"description":"d"`, `"tags":["a","b"]`,
		`"default_queue_type":"quorum"`)
	h.do("PUT", "/api/vhosts/v", `{"default_queue_type":"nope"}`).want(400, "Unsupported")
}

// TestParametersOfOthers: who makes policies sets no parameters for which other routes ask more.
func TestParametersOfOthers(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	for _, component := range []string{"operator_policy", "vhost-limits", "contract", "service-instance"} {
		path := "/api/parameters/" + component + "/%2F/x"
		h.as("policymaker", "PUT", path, `{"value":{}}`).want(401)
		h.as("policymaker", "DELETE", path, "").want(401)
	}
	h.as("policymaker", "PUT", "/api/parameters/shovel/%2F/x", `{"value":{}}`).want(201)
}
