// SPDX-License-Identifier: Apache-2.0

package rest

import "maps"

// parameter is what the OpenAPI document says about a parameter or a header.
type parameter struct {
	about   string
	schema  jsonObject
	example any
}

func text() jsonObject    { return jsonObject{"type": "string"} }
func whole() jsonObject   { return jsonObject{"type": "integer", "minimum": 0} }
func yesOrNo() jsonObject { return jsonObject{"enum": []any{0, 1, true, false}} }

// parameterTexts has every parameter and header, by where it stands and its name.
func parameterTexts() map[string]parameter {
	return map[string]parameter{
		"path q":      {"A queue.", text(), "greeter"},
		"path x":      {"An exchange; amq.default is the default one.", text(), "prices"},
		"path t":      {"A topic: words with dots in between. To subscribe, * is any word and # any words.", text(), "price.tea"},
		"path svc":    {"A service: the queue that its instances answer from.", text(), "greeter"},
		"path method": {"The operation.", text(), "SayHello"},
		"path path":   {"The operation, or any path of the service's own.", text(), "SayHello"},
		"path id":     {"What Location or an earlier answer named.", text(), "AAAAAAAAAAAAAAAAAAAAAA"},
		"path token":  {"From WebHook-Request-Callback.", text(), "AAAAAAAAAAAAAAAAAAAAAA"},
		"path code":   {"The code of a problem.", text(), "not-found"},

		"query page_size": {"How many at most.", jsonObject{"type": "integer", "minimum": 1, "maximum": pageMax}, 100},
		"query after":     {"Behind which the page begins, as next says.", text(), nil},
		"query if_unused": {"Only if nobody uses it.", yesOrNo(), nil},
		"query if_empty":  {"Only if nothing is in it.", yesOrNo(), nil},
		"query src":       {"The source.", text(), "amq.topic"},
		"query dstq":      {"The queue that is bound.", text(), "greeter"},
		"query dste":      {"The exchange that is bound.", text(), nil},
		"query key":       {"The routing key, or that of a binding.", text(), "price.*"},
		"query args":      {"Which of those that differ in their arguments, as location says.", text(), nil},
		"query mandatory": {"Refuse a message that reaches no queue.", yesOrNo(), nil},
		"query prefetch": {
			"How many messages may wait for their acknowledgement.",
			jsonObject{"type": "integer", "minimum": 1, "maximum": prefetchMax},
			10,
		},
		"query ack":      {"Who acknowledges: the hub when it has sent, or you.", jsonObject{"enum": []any{"auto", "manual"}}, "auto"},
		"query force":    {"Even if it breaks the one that is there.", yesOrNo(), nil},
		"query envelope": {"Each message as JSON, not its body alone.", yesOrNo(), nil},
		"query name":     {"A subscription that keeps what comes while you are away.", text(), nil},

		"header Parley-Correlation-Id": {"Copied into the answer.", text(), nil},
		"header Parley-Reply-To":       {"The queue that wants the answer.", text(), nil},
		"header Parley-Type":           {"The operation.", text(), nil},
		"header Parley-Message-Id":     {"The message's name; the hub makes one up.", text(), nil},
		"header Parley-App-Id":         {"Who sends it.", text(), nil},
		"header Parley-Expires-Ms":     {"How long it may wait in a queue.", whole(), nil},
		"header Parley-Priority":       {"For queues with priorities.", jsonObject{"type": "integer", "minimum": 0, "maximum": 255}, nil},
		"header Parley-Delay-Ms":       {"How long it waits before it is routed.", whole(), nil},
		"header Parley-Timeout-Ms":     {"How long the call may take.", whole(), nil},
		"header grpc-timeout":          {"The same, as gRPC says it.", text(), nil},
		"header Connect-Timeout-Ms":    {"The same, as Connect says it.", whole(), nil},
		"header Parley-Instance":       {"What a gather calls you.", text(), nil},
		"header Last-Event-ID":         {"The last event that you have seen.", text(), nil},
		"header Idempotency-Key": {
			"1 to 255 printable characters: the same request with the same key happens once, for a day.",
			jsonObject{"type": "string", "minLength": 1, "maxLength": keyBytesMax + 2},
			nil,
		},
		"header WebHook-Allowed-Rate": {"Posts a minute, or *.", text(), nil},
		"header Prefer":               {"RFC 7240: respond-async, wait=N.", text(), nil},
		"header traceparent":          {"W3C trace context; it goes on to who gets the message.", text(), nil},
		"header tracestate":           {"W3C trace context.", text(), nil},

		"answer Location":        {"The resource that was made.", text(), nil},
		"path name":              {"What you call it: a subscription, or a contract.", text(), "hook"},
		"header If-None-Match":   {"The entity tag that you know; with Prefer: wait, until it changes.", text(), nil},
		"header Parley-Callback": {"The URL to post the answer to, with respond-async.", text(), nil},
		"answer ETag":            {"The state's entity tag.", text(), nil},

		"answer Link":               {"RFC 8288.", text(), nil},
		"answer Retry-After":        {"Seconds after which to ask again.", whole(), nil},
		"answer RateLimit":          {"What is left of the limits that count here.", text(), nil},
		"answer RateLimit-Policy":   {"The limits that count here, by name.", text(), nil},
		"answer Preference-Applied": {"What of Prefer was obeyed.", text(), nil},
		"answer Parley-Lease":       {"The lease of a body that is shown alone.", text(), nil},
		"answer Parley-Attempt":     {"How often it was delivered, from 1.", whole(), nil},
	}
}

// memberTexts says what the members of bodies are, by their names, or by their type's and theirs where
// a name means several things.
func memberTexts() map[string]string {
	out := firstMemberTexts()
	maps.Copy(out, otherMemberTexts())
	maps.Copy(out, serviceMemberTexts())
	maps.Copy(out, contractMemberTexts())
	return out
}

func firstMemberTexts() map[string]string {
	return map[string]string{
		"app_id":               "Who sent it.",
		"arguments":            "As in AMQP: x-message-ttl, x-max-length and so on.",
		"attempt":              "How often it was delivered, from 1.",
		"auto_delete":          "It goes with its last user.",
		"binding_key":          "What routing keys have to match.",
		"body":                 "The body when it is text; of what you send also any JSON.",
		"body_b64":             "The body in base64.",
		"code":                 "The problem's code.",
		"complete":             "The rule asked for was met.",
		"consumer_count":       "Who reads from it.",
		"content_encoding":     "How the body is packed; it is never changed.",
		"content_type":         "The body's media type.",
		"correlation_id":       "Copied into the answer.",
		"created":              "When it was asked.",
		"dead_letter":          "Out of the queue, to the dead letters.",
		"delay_ms":             "How long it waits first, in milliseconds.",
		"destination_exchange": "The exchange that is bound, or else a queue.",
		"destination_queue":    "The queue that is bound, or else an exchange.",
		"detail":               "What happened, for people.",
		"durable":              "It outlives the hub. The default.",
		"exception":            "The service's own name for what went wrong.",
		"exchange":             "Where it was published.",
		"exclusive":            "Not over HTTP: there is no connection to hold it.",
		"expires_ms":           "How long it may wait in a queue, in milliseconds.",
		"extend_ms":            "From now on, in milliseconds.",
		"headers":              "Its headers; names keep their case.",
		"id":                   "The request's name.",
		"instance":             "The target of the request.",
		"internal":             "Only other exchanges publish to it.",
		"items":                "In the order of their names.",
		"lease":                "The lease: acknowledge it by DELETE /leases/{lease}.",
		"lease_ms":             "For how long, in milliseconds.",
		"links":                "Paths by what they are for.",
	}
}

func otherMemberTexts() map[string]string {
	return map[string]string{
		"location":             "DELETE of this takes it away.",
		"message_count":        "Messages that wait.",
		"message_id":           "The message's name.",
		"messages":             "The oldest first.",
		"missing":              "Who was asked and had not answered.",
		"name":                 "Its name.",
		"next":                 "The next page, if there is one.",
		"priority":             "For queues with priorities.",
		"product":              "parley.",
		"queue":                "The queue that it comes from.",
		"reason":               "Why not.",
		"redelivered":          "It may have been seen before.",
		"replies":              "The answers so far.",
		"reply_to":             "The queue that wants the answer.",
		"requeue":              "Back to its place. The default.",
		"results":              "One for each entry, in order.",
		"retry_after_ms":       "After what time to try again.",
		"routed":               "How many queues took it.",
		"routing_key":          "The key that it was published with.",
		"service":              "Who is asked.",
		"source":               "The exchange that routes.",
		"state":                "queued, running, done, failed (the answer is an error), canceled or expired.",
		"status":               "HTTP's status for it.",
		"timestamp":            "When it was sent, in seconds since 1970.",
		"title":                "The code in words.",
		"trace_id":             "Under which the hub's log speaks of it.",
		"type":                 "Its type.",
		"unsettled_count":      "Messages that somebody has taken and not acknowledged.",
		"user_id":              "Whose it is, checked by the hub.",
		"vhost":                "Its virtual host.",
		"violated-policies":    "The quotas that are used up, as RateLimit-Policy names them.",
		"ack":                  "Acknowledge it.",
		"all":                  "Wait for everybody who was asked. The default.",
		"entries":              "1 to 1,000.",
		"max":                  "How many at most.",
		"nack":                 "Give it back.",
		"quorum":               "Answers that are enough, or true for more than half of those asked.",
		"at":                   "When it was told.",
		"callback":             "Where the answer is posted, and how that stands.",
		"percent":              "0 to 100.",
		"progress":             "How far the service says that it is.",
		"text":                 "In words.",
		"sentinel":             "End at an empty answer that is no error. It is none of the replies.",
		"stall_ms":             "How much silence after an answer ends it.",
		"timeout_ms":           "How long it may take in all.",
		"wait_ms":              "How long to wait for the first message.",
		"GatherReply.instance": "Who answered.",
		"Health.status":        "ok, ready or not ready.",
		"Message.type":         "The operation.",
		"Line.type":            "The operation.",
		"Problem.type":         "Where the problem is explained.",
		"Exchange.type":        "direct, fanout, topic, headers and others.",
	}
}

// serviceMemberTexts are those of services that the hub calls, and of their servers.
func serviceMemberTexts() map[string]string {
	return map[string]string{
		"address":                 "Where it is, looked up.",
		"attempts":                "Attempts that were made for calls.",
		"breakers":                "Those that are not closed, by operation.",
		"calls":                   "Calls that began.",
		"counts":                  "What has happened since the hub began to call it.",
		"down":                    "So many checks that fail take it out.",
		"draining":                "It gets no new calls.",
		"ejections":               "How often servers were ejected; of one, less one for each quiet while since.",
		"expired":                 "Calls whose time was over before an attempt.",
		"failed":                  "Calls that failed, by their last attempt.",
		"failures":                "Calls that failed.",
		"free":                    "Calls that it would take now.",
		"health":                  "How it is checked. Default: not at all; failed calls tell.",
		"http":                    "By a request.",
		"hedges":                  "Second attempts that were sent beside slow first ones.",
		"hedges_won":              "Those of them that answered first.",
		"in_flight":               "Calls under way.",
		"instances":               "Its servers.",
		"interval_ms":             "Time between two checks.",
		"latency_ms":              "How long its calls take, on the average.",
		"limit":                   "Calls that may be under way.",
		"median_ms":               "How long half of the answers take at most.",
		"method":                  "The method's name.",
		"panics":                  "Calls that went to any server, since too few were healthy.",
		"path":                    "The request's path.",
		"protocol":                "http or thrift; default: as the URL says.",
		"refused":                 "Credits that were refused: all slots were taken, or a breaker was open.",
		"retries":                 "Attempts that were repeated.",
		"retries_refused":         "Those that the budget refused.",
		"services":                "By their names.",
		"since":                   "When it came into its state.",
		"streams":                 "Answers that are still passing through.",
		"successes":               "Calls that succeeded.",
		"tail_ms":                 "How long 95 % of the answers take at most.",
		"tcp":                     "By a connection.",
		"thrift":                  "By a call of a method without arguments.",
		"fbthrift":                "Exceptions 11 and 12 mean overload and a timeout.",
		"multiplex":               "The service's name at a server that has several.",
		"oneway":                  "Methods that are never answered, besides those of the contract.",
		"transport":               "framed, unframed, header, ttheader, zlib or http. Default framed.",
		"ttl_s":                   "It goes unless it is put again in so many seconds. Default: it stays.",
		"up":                      "So many checks that succeed bring it back.",
		"waiting":                 "Messages in the service's queue.",
		"url":                     "Where it is: http, https or h2c; thrift or thrift+tls.",
		"weight":                  "Its share beside others. Default 100.",
		"Instance.thrift":         "How it is called, if it speaks Thrift; the first server says it for all.",
		"InstanceThrift.protocol": "binary, compact or json. Default binary.",
	}
}
