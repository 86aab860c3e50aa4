// SPDX-License-Identifier: Apache-2.0

package rest

import "net/http"

// pushOperations describes the routes of push subscriptions.
func pushOperations() map[string]operation {
	example := jsonObject{
		"source": jsonObject{"queue": "greeter"},
		"push":   jsonObject{"url": "https://ci.example/in", "format": "structured"},
	}
	problems := []string{"forbidden", wordNotFound}
	return map[string]operation{
		"GET /subscriptions": {
			id: "listSubscriptions", tag: tagStreams, summary: "List push subscriptions",
			answers: answers(shows("All of the virtual host.", "SubscriptionList")), problems: problems,
		},
		"PUT /subscriptions/{name}": {
			id: "putSubscription", tag: tagStreams,
			summary: "Have messages posted to a URL, whose server consents first (CloudEvents webhooks)",
			takes:   needed(jsonOf("SubscriptionDefinition", example)),
			answers: answers(
				outcome{
					status: http.StatusCreated, about: "It is new.", body: jsonOf("Subscription", nil),
				},
				shows("It replaces the one of that name.", "Subscription"),
			),
			problems: []string{wordBadRequest, "forbidden", wordNotFound, "conflict", wordMediaType},
		},
		"GET /subscriptions/{name}": {
			id: "getSubscription", tag: tagStreams,
			summary: "Show a push subscription and how it is, without its secrets",
			answers: answers(shows("It.", "Subscription")), problems: problems,
		},
		"GET /v1/webhooks/consents/{token}": {
			id: "consent", tag: tagStreams,
			summary: "Consent to a push subscription, as WebHook-Request-Callback says",
			answers: answers(done("Posts follow.")), problems: []string{wordNotFound},
		},
		"POST /v1/webhooks/consents/{token}": {
			id: "consentWithRate", tag: tagStreams,
			summary: "Consent to a push subscription, and say how many posts a minute you take",
			headers: []string{"WebHook-Allowed-Rate"},
			answers: answers(done("Posts follow.")), problems: []string{wordBadRequest, wordNotFound},
		},
		"DELETE /subscriptions/{name}": {
			id: "deleteSubscription", tag: tagStreams, summary: "End a push subscription",
			answers: answers(done("It is gone.")), problems: problems,
		},
	}
}

// pushSchemas describes push subscriptions, which belong to who posts for them (package webhook).
func pushSchemas() jsonObject {
	member := func(about string, schema jsonObject) jsonObject {
		schema["description"] = about
		return schema
	}
	number := func(most int) jsonObject {
		return jsonObject{"type": "integer", "minimum": 1, "maximum": most}
	}
	source := jsonObject{
		"type": "object", "description": "A queue, or a topic.",
		"properties": jsonObject{
			"queue":       member("The queue whose messages are posted.", text()),
			"topic":       member("The topic; its messages wait in a queue of its own.", text()),
			"dead_letter": member("The queue of a topic's dead letters.", text()),
		},
	}
	push := func(secret jsonObject) jsonObject {
		return jsonObject{
			"type": "object", "description": "Where to and how.", "required": []string{"url"},
			"properties": jsonObject{
				"url": member("http or https.", text()),
				"format": member("CloudEvents, or the message as it is.", jsonObject{
					"enum": []any{"binary", "structured", "batch", "plain"}, "default": "binary",
				}),
				"batch_max":    member("Events of a batch.", number(100)),
				"max_inflight": member("Posts under way.", number(256)),
				"timeout_ms":   member("How long a post may take.", number(300_000)),
				"rate":         member("Posts a minute, which the server is asked to grant.", whole()),
				"retry": jsonObject{
					"type": "object", "description": "When a post that failed is tried again.",
					"properties": jsonObject{
						"attempts": member("Posts of one message before it is dead.", number(100)),
						"first_ms": member("The first pause; it doubles each time.", number(3_600_000)),
						"max_ms":   member("The longest pause.", number(3_600_000)),
					},
				},
				"secret":        member("Signs the posts (Standard Webhooks).", secret),
				"authorization": member("Sent as that header.", secret),
			},
		}
	}
	shown := jsonObject{
		"type": "object", "required": []string{"name", "source", "push", "state"},
		"properties": jsonObject{
			"name": member("Its name.", text()), "source": source,
			"push": push(jsonObject{"type": "boolean"}),
			"by":   member("The user as whom the hub consumes.", text()),
			"state": member("How it is.", jsonObject{
				"enum": []any{"starting", "active", "paused", "failing", "disabled"},
			}),
			"reason":         member("Why, or what the last post that failed got.", text()),
			"window":         member("How many posts may be under way now.", whole()),
			"inflight":       member("How many are.", whole()),
			"waiting":        member("Messages that wait for another attempt.", whole()),
			"taken":          member("Messages that were taken since the hub started.", whole()),
			"failed":         member("Posts that failed.", whole()),
			"dead_lettered":  member("Messages that were given up.", whole()),
			"format_refused": member("The server has refused the format.", jsonObject{"type": "boolean"}),
			"allowed_rate":   member("Posts a minute that the server grants.", whole()),
		},
	}
	return jsonObject{
		"Subscription": shown,
		"SubscriptionDefinition": jsonObject{
			"type": "object", "additionalProperties": false, "required": []string{"source", "push"},
			"properties": jsonObject{"source": source, "push": push(text())},
		},
		"SubscriptionList": jsonObject{
			"type": "object", "required": []string{"items"},
			"properties": jsonObject{"items": jsonObject{
				"type": "array", "items": jsonObject{"$ref": "#/components/schemas/Subscription"},
			}},
		},
	}
}

// webhooks describes what is posted to others.
func webhooks() jsonObject {
	event := jsonObject{"$ref": "#/components/schemas/CloudEvent"}
	header := func(name, about string) jsonObject {
		return jsonObject{"name": name, "in": "header", "description": about, "schema": text()}
	}
	answers := jsonObject{}
	for status, about := range map[string]string{
		"2XX": "Done. To a message with a reply address the body of a 200 or 201 is the reply.",
		"410": "Nothing more: the subscription is disabled.",
		"429": "Later: Retry-After says when.",
		"4XX": "Never again: the message is dead.",
		"5XX": "Again, after a pause.",
	} {
		answers[status] = jsonObject{"description": about}
	}
	post := func(summary string, content jsonObject, headers ...any) jsonObject {
		return jsonObject{"post": jsonObject{
			"summary": summary, "responses": answers,
			"requestBody": jsonObject{"required": true, "content": content},
			"parameters": append([]any{
				header("WebHook-Request-Origin", "The hub's name."),
				header("Parley-Attempt", "How often it was posted, from 1."),
				header("traceparent", "W3C trace context."),
			}, headers...),
			"security": []any{},
		}}
	}
	return jsonObject{
		"message": post("A message, to a push subscription", jsonObject{
			typeCloudEvent:  jsonObject{"schema": event},
			typeCloudEvents: jsonObject{"schema": jsonObject{"type": "array", "items": event}},
			"*/*":           jsonObject{},
		}, header("webhook-signature", "Of Standard Webhooks, with webhook-id and webhook-timestamp.")),
		"result": post("The result of a request, to its Parley-Callback", jsonObject{
			"*/*": jsonObject{},
		},
			header("Parley-Request", "The request's id."),
			header("Parley-Request-State", "done or expired."),
			header("Parley-Status", "The status of the answer.")),
	}
}
