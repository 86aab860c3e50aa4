// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"maps"
	"net/http"
)

// operation describes what a route does, for the OpenAPI document. A route without one fails a test.
type operation struct {
	id, tag, summary string
	// query are the parameters of the query, headers those of the request that mean something here;
	// both are names in parameters.
	query, headers []string
	takes          *content // nil: no body
	answers        []outcome
	problems       []string // the code words that a client of this route should know
}

// content is a body: of a schema, or any bytes without one.
type content struct {
	types   []string
	schema  string
	example any
	need    bool // a request without it is refused
}

// outcome is an answer that is no problem.
type outcome struct {
	status  int
	about   string
	body    *content
	headers []string
}

// Groups of operations.
const (
	tagQueues   = "queues"
	tagRouting  = "routing"
	tagSend     = "send"
	tagLeases   = "leases"
	tagStreams  = "streams"
	tagServices = "services"
	tagHub      = "hub"
)

// jsonObject is JSON in examples.
type jsonObject = map[string]any

func jsonOf(schema string, example any) *content {
	return &content{types: []string{typeJSON}, schema: schema, example: example}
}

func needed(c *content) *content {
	c.need = true
	return c
}

func answers(list ...outcome) []outcome { return list }

func done(about string) outcome {
	return outcome{status: http.StatusNoContent, about: about}
}

func shows(about, schema string) outcome {
	return outcome{status: http.StatusOK, about: about, body: jsonOf(schema, nil)}
}

// sendHeaders are the properties of a message (rest.md, Messages).
func sendHeaders() []string {
	return []string{
		"Parley-Correlation-Id", "Parley-Reply-To", "Parley-Type", "Parley-Message-Id",
		"Parley-App-Id", "Parley-Expires-Ms", "Parley-Priority", "Parley-Delay-Ms",
		"Idempotency-Key", "Prefer", "traceparent", "tracestate",
	}
}

// sendOperation describes a send route.
func sendOperation(id, summary string, query ...string) operation {
	return operation{
		id: id, tag: tagSend, summary: summary, query: query, headers: sendHeaders(),
		takes: &content{
			types: []string{
				"*/*", typeLines, typeCloudEvent, typeCloudEvents,
			},
			example: "hello",
		},
		answers: answers(
			outcome{
				status: http.StatusCreated, about: "The message is safe.",
				body: jsonOf("Routed", jsonObject{"routed": 1}), headers: []string{"Location"},
			},
			outcome{
				status: http.StatusAccepted, about: "With respond-async: it is in its queues.",
				body: jsonOf("Routed", nil), headers: []string{"Location", "Preference-Applied"},
			},
			shows("A batch: one result for each entry, in order.", "SendResults"),
		),
		problems: []string{
			wordBadRequest, wordKeyMissing, wordNotFound, "unroutable", "outstanding", wordTooLarge,
			"key-reused", "queue-full", "quota", "alarm", "storage-quota",
		},
	}
}

// operations describes the routes of the table, by method and pattern.
func operations() map[string]operation {
	out := map[string]operation{}
	for _, list := range [...]map[string]operation{
		queueOperations(), routingOperations(), sendOperations(), leaseOperations(),
		streamOperations(), serviceOperations(), instanceOperations(), contractOperations(),
		pushOperations(),
		hubOperations(),
	} {
		maps.Copy(out, list)
	}
	return out
}

func queueOperations() map[string]operation {
	return map[string]operation{
		"GET /queues": {
			id: "listQueues", tag: tagQueues, summary: "List the queues that you may see",
			query: []string{"page_size", "after"}, answers: answers(shows("A page.", "QueueList")),
			problems: []string{wordBadRequest},
		},
		"PUT /queues/{q}": {
			id: "declareQueue", tag: tagQueues, summary: "Declare a queue",
			takes: jsonOf("QueueDeclaration", jsonObject{"durable": true}),
			answers: answers(
				outcome{
					status: http.StatusCreated, about: "It is new.", body: jsonOf("Queue", nil),
					headers: []string{"Location"},
				},
				shows("It was there, with the same properties.", "Queue"),
			),
			problems: []string{wordBadRequest, "conflict", wordMediaType, "quota"},
		},
		"GET /queues/{q}": {
			id: "getQueue", tag: tagQueues, summary: "Show a queue",
			answers: answers(shows("The queue.", "Queue")), problems: []string{wordNotFound},
		},
		"DELETE /queues/{q}": {
			id: "deleteQueue", tag: tagQueues, summary: "Delete a queue; an absent one is no error",
			query:    []string{"if_unused", "if_empty"},
			answers:  answers(done("There is no such queue any more.")),
			problems: []string{"conflict"},
		},
		"DELETE /queues/{q}/messages": {
			id: "purgeQueue", tag: tagQueues, summary: "Drop the messages that wait in a queue",
			answers:  answers(shows("How many there were.", "Purged")),
			problems: []string{wordNotFound},
		},
	}
}

func routingOperations() map[string]operation {
	return map[string]operation{
		"GET /exchanges": {
			id: "listExchanges", tag: tagRouting, summary: "List the exchanges that you may see",
			query:   []string{"page_size", "after"},
			answers: answers(shows("A page.", "ExchangeList")), problems: []string{wordBadRequest},
		},
		"PUT /exchanges/{x}": {
			id: "declareExchange", tag: tagRouting, summary: "Declare an exchange",
			takes:    jsonOf("ExchangeDeclaration", jsonObject{"type": "topic"}),
			answers:  answers(done("It is there, with these properties.")),
			problems: []string{wordBadRequest, "conflict", wordMediaType, "quota"},
		},
		"GET /exchanges/{x}": {
			id: "getExchange", tag: tagRouting, summary: "Show an exchange",
			answers: answers(shows("The exchange.", "Exchange")), problems: []string{wordNotFound},
		},
		"DELETE /exchanges/{x}": {
			id: "deleteExchange", tag: tagRouting,
			summary: "Delete an exchange; an absent one is no error", query: []string{"if_unused"},
			answers:  answers(done("There is no such exchange any more.")),
			problems: []string{"conflict"},
		},
		"GET /bindings": {
			id: "listBindings", tag: tagRouting, summary: "List bindings, all or those of a side",
			query:   []string{"src", "dstq", "dste", "key", "page_size", "after"},
			answers: answers(shows("A page.", "BindingList")), problems: []string{wordBadRequest},
		},
		"POST /bindings": {
			id: "bind", tag: tagRouting, summary: "Bind a queue or an exchange to an exchange",
			takes: needed(jsonOf("Binding", jsonObject{
				"source": "amq.topic", "destination_queue": "greeter", "binding_key": "price.*",
			})),
			answers: answers(outcome{
				status: http.StatusNoContent, about: "It is bound; Location takes it away by DELETE.",
				headers: []string{"Location"},
			}),
			problems: []string{wordBadRequest, wordNotFound, wordMediaType, "quota"},
		},
		"DELETE /bindings": {
			id: "unbind", tag: tagRouting, summary: "Take a binding away; an absent one is no error",
			query:    []string{"src!", "dstq", "dste", "key", "args"},
			answers:  answers(done("It is not bound any more.")),
			problems: []string{wordBadRequest, wordNotFound},
		},
	}
}

func sendOperations() map[string]operation {
	return map[string]operation{
		"POST /queues/{q}/messages": sendOperation("send", "Send a message to a queue"),
		"POST /exchanges/{x}/messages": sendOperation("publish",
			"Publish a message through an exchange", "key", "mandatory"),
		"POST /topics/{t}/messages": sendOperation("publishToTopic", "Publish a message on a topic"),
	}
}

func leaseOperations() map[string]operation {
	gone := []string{wordBadRequest, wordLeaseGone, wordMediaType}
	return map[string]operation{
		"POST /queues/{q}/leases": {
			id: "lease", tag: tagLeases, summary: "Take messages for a time",
			headers: []string{"Parley-Instance"},
			takes:   jsonOf("LeaseRequest", jsonObject{"max": 1, "wait_ms": 100, "lease_ms": 30000}),
			answers: answers(
				outcome{
					status: http.StatusOK, about: "What was taken. With max 1 and an Accept of the" +
						" message's type the body itself, the lease in headers.",
					body:    jsonOf("Leases", nil),
					headers: []string{"Link", "Parley-Lease", "Parley-Attempt"},
				},
				done("Nothing came in the time."),
			),
			problems: []string{wordBadRequest, wordNotFound, wordMediaType, "quota"},
		},
		"POST /leases/batch": {
			id: "settleLeases", tag: tagLeases, summary: "Acknowledge or change many leases",
			takes: needed(jsonOf("LeaseBatch", jsonObject{
				"entries": []any{jsonObject{"lease": "AAAAAAAAAAAAAAAAAAAAAA", "ack": true}},
			})),
			answers:  answers(shows("One result for each entry, in order.", "LeaseResults")),
			problems: []string{wordBadRequest, wordMediaType},
		},
		"DELETE /leases/{id}": {
			id: "acknowledge", tag: tagLeases, summary: "Acknowledge a message; repeatable",
			answers: answers(done("It is acknowledged.")), problems: []string{wordLeaseGone},
		},
		"PATCH /leases/{id}": {
			id: "changeLease", tag: tagLeases, summary: "Extend a lease, or give its message back",
			takes:   needed(jsonOf("LeaseChange", jsonObject{"extend_ms": 60000})),
			answers: answers(shows("It is changed.", "Empty")), problems: gone,
		},
		"POST /leases/{id}/progress": {
			id: "progress", tag: tagLeases, summary: "Tell who asked how far you are",
			takes:    needed(jsonOf("Progress", jsonObject{"percent": 50, "text": "half of it"})),
			answers:  answers(done("It is told, if somebody wants to know.")),
			problems: gone,
		},
		"POST /leases/{id}/reply": {
			id: "reply", tag: tagLeases,
			summary: "Answer the message and acknowledge it, in one durable step",
			headers: []string{"Parley-Correlation-Id", "Parley-Type", "traceparent"},
			takes:   &content{types: []string{"*/*"}, example: "Hello, Ada"},
			answers: answers(outcome{
				status: http.StatusCreated, about: "The answer is on its way.",
				body: jsonOf("Empty", nil),
			}),
			problems: []string{wordBadRequest, wordLeaseGone, wordTooLarge, "queue-full"},
		},
	}
}

func streamOperations() map[string]operation {
	stream := func(id, summary string, query ...string) operation {
		return operation{
			id: id, tag: tagStreams, summary: summary,
			query:   append(query, "prefetch", "ack", "envelope"),
			headers: []string{"Last-Event-ID", "Parley-Instance"},
			answers: answers(
				outcome{
					status: http.StatusOK, about: "Server-sent events, until somebody ends them.",
					body: &content{types: []string{typeEvents}},
				},
				outcome{
					status: http.StatusSwitchingProtocols,
					about:  "A WebSocket, when the request asks for one.",
				},
			),
			problems: []string{wordBadRequest, wordNotFound, "quota"},
		}
	}
	return map[string]operation{
		"GET /queues/{q}/stream": stream("streamQueue", "Read a queue as it fills"),
		"GET /topics/{t}/stream": stream("streamTopic", "Subscribe to a topic", "name"),
	}
}

func serviceOperations() map[string]operation {
	gather := func(id, summary string) operation {
		return operation{
			id: id, tag: tagServices, summary: summary,
			takes: jsonOf("GatherRequest", jsonObject{"body": "Ada", "timeout_ms": 1000}),
			answers: answers(outcome{
				status: http.StatusOK, about: "Who has answered, and who has not. As events or lines" +
					" each answer as it comes, then the summary.",
				body: &content{
					types: []string{typeJSON, typeEvents, typeLines}, schema: "GatherResult",
				},
			}),
			problems: []string{
				wordBadRequest, "no-service", wordMediaType, "quota", "no-instance", "alarm",
			},
		}
	}
	return map[string]operation{
		" /services/{svc}/{path...}": {
			id: "call", tag: tagServices, summary: "Call a service, or ask it for an answer later",
			headers: []string{
				"Prefer", "Parley-Timeout-Ms", "grpc-timeout", "Connect-Timeout-Ms",
				"Idempotency-Key", "Parley-Callback", "traceparent",
			},
			takes: &content{types: []string{"*/*"}, example: "Ada"},
			answers: answers(
				outcome{
					status: http.StatusOK, about: "The service's own answer, whatever its status is.",
					body: &content{types: []string{"*/*"}},
				},
				outcome{
					status: http.StatusAccepted, about: "With respond-async: Location is the request.",
					body:    jsonOf("Request", nil),
					headers: []string{"Location", "Retry-After", "Preference-Applied", "Link"},
				},
			),
			problems: []string{
				wordBadRequest, wordKeyMissing, "no-service", "no-method", "outstanding", wordTooLarge,
				"key-reused", wordException, "quota", wordBadReply, "no-instance", "breaker-open",
				"overloaded", "alarm", "deadline",
			},
		},
		"POST /services/{svc}/{method}/gather": gather("gather", "Ask every instance of a service"),
		"POST /topics/{t}/gather":              gather("gatherTopic", "Ask everybody who is subscribed"),
		"GET /requests/{id}": {
			id: "getRequest", tag: tagServices, summary: "Show where a request stands",
			headers: []string{"Prefer", "If-None-Match"},
			answers: answers(
				outcome{
					status: http.StatusOK, about: "It has no answer yet, or will get none. As events" +
						" each change, until the end.",
					body:    &content{types: []string{typeJSON, typeEvents}, schema: "Request"},
					headers: []string{"Retry-After", "ETag", "Preference-Applied"},
				},
				outcome{status: http.StatusNotModified, about: "It is as you know it."},
				outcome{
					status: http.StatusSeeOther, about: "It has its answer, at Location.",
					body: jsonOf("Request", nil), headers: []string{"Location", "Preference-Applied"},
				},
			),
			problems: []string{wordNotFound, "result-gone"},
		},
		"DELETE /requests/{id}": {
			id: "cancelRequest", tag: tagServices, summary: "Cancel a request; repeatable",
			answers:  answers(done("No answer is waited for.")),
			problems: []string{wordNotFound, "result-gone"},
		},
		"GET /requests/{id}/response": {
			id: "getResponse", tag: tagServices, summary: "Fetch the answer of a request",
			headers: []string{"Prefer"},
			answers: answers(outcome{
				status: http.StatusOK, about: "The service's own answer, whatever its status is.",
				body: &content{types: []string{"*/*"}},
			}),
			problems: []string{wordNotFound, "result-gone", wordException, wordBadReply, "deadline"},
		},
	}
}

func instanceOperations() map[string]operation {
	problems := []string{wordBadRequest, "forbidden", wordNotFound, wordMediaType}
	return map[string]operation{
		"GET /services": {
			id: "listServices", tag: tagServices, summary: "List the services that the hub calls",
			answers: answers(shows("Those that you may see.", "Services")),
		},
		"PUT /services/{svc}/instances/{id}": {
			id: "putInstance", tag: tagServices,
			summary: "Attach a server to a service; repeated, it is the server's heart-beat",
			takes: needed(jsonOf("Instance", jsonObject{
				"url": "http://127.0.0.1:8081", "ttl_s": 60,
			})),
			answers: answers(
				outcome{
					status: http.StatusCreated, about: "It is new.", body: jsonOf("Instance", nil),
				},
				shows("It was there.", "Instance"),
			),
			problems: problems,
		},
		"PATCH /services/{svc}/instances/{id}": {
			id: "drainInstance", tag: tagServices, summary: "Keep new calls away from a server",
			takes:    needed(jsonOf("InstanceChange", jsonObject{"draining": true})),
			answers:  answers(shows("It is so.", "InstanceChange")),
			problems: problems,
		},
		"DELETE /services/{svc}/instances/{id}": {
			id: "removeInstance", tag: tagServices,
			summary:  "Take a server away; one that is not there is no error",
			answers:  answers(done("It is not called any more.")),
			problems: problems,
		},
	}
}

func hubOperations() map[string]operation {
	return map[string]operation{
		"GET /{$}": {
			id: "links", tag: tagHub, summary: "Where everything is",
			answers: answers(shows("Links.", "Links")),
		},
		"GET /healthz": {
			id: "health", tag: tagHub, summary: "Whether the process serves",
			answers: answers(shows("It does.", "Health")),
		},
		"GET /readyz": {
			id: "ready", tag: tagHub, summary: "Whether the hub takes work",
			answers: answers(
				shows("It does.", "Health"),
				outcome{
					status: http.StatusServiceUnavailable, about: "It does not, yet or any more.",
					body: jsonOf("Health", nil), headers: []string{"Retry-After"},
				},
			),
		},
		"GET /problems/{code}": {
			id: "problem", tag: tagHub, summary: "What a problem's type means",
			answers: answers(outcome{
				status: http.StatusOK, about: "A page for people.",
				body: &content{types: []string{"text/html"}},
			}),
			problems: []string{wordNotFound},
		},
		"GET /openapi.json": {
			id: "openapi", tag: tagHub, summary: "This document",
			headers: []string{"If-None-Match"},
			answers: answers(
				outcome{
					status: http.StatusOK, about: "OpenAPI 3.1.",
					body: &content{types: []string{typeJSON}}, headers: []string{"ETag"},
				},
				outcome{status: http.StatusNotModified, about: "It is as you know it."},
			),
		},
		"GET /metrics": {
			id: "metrics", tag: tagHub, summary: "Numbers for Prometheus",
			answers: answers(outcome{
				status: http.StatusOK, about: "Prometheus's text format.",
				body: &content{types: []string{"text/plain"}},
			}),
		},
		"POST /thrift": {
			id: idThriftDefault, tag: tagHub,
			summary: "Call the default service, or that in the message's name, with Thrift",
			takes:   thriftBody(), answers: thriftAnswers(),
		},
		"POST /thrift/{svc}": {
			id: idThrift, tag: tagHub, summary: "Call a service with Thrift",
			takes: thriftBody(), answers: thriftAnswers(),
		},
		"GET /ws": {
			id: "webSocket", tag: tagHub, summary: "STOMP over WebSocket",
			answers: answers(
				outcome{status: http.StatusSwitchingProtocols, about: "A WebSocket."},
				outcome{
					status: http.StatusForbidden, about: "A page of another origin.",
					body: &content{types: []string{"text/plain"}},
				},
				outcome{
					status: http.StatusUpgradeRequired, about: "The request asks for no WebSocket.",
					body: &content{types: []string{"text/plain"}},
				},
			),
		},
	}
}

// The operations of Thrift: below no virtual host, but not without a user.
const (
	idThrift        = "callThrift"
	idThriftDefault = "callThriftDefault"
)

// thriftBody is a whole message of Thrift, in any form.
func thriftBody() *content { return &content{types: []string{"application/x-thrift"}, need: true} }

// thriftAnswers say that a message is the answer to one.
func thriftAnswers() []outcome {
	return answers(outcome{
		status: http.StatusOK, about: "The answer in the form of the call, an exception too; nothing for a" +
			" oneway call.", body: thriftBody(),
	}, outcome{
		status: http.StatusBadRequest, about: "It is no message of Thrift.",
		body: &content{types: []string{"text/plain"}},
	}, outcome{
		status: http.StatusUnsupportedMediaType, about: "The body is of another type.",
		body: &content{types: []string{"text/plain"}},
	})
}
