// SPDX-License-Identifier: Apache-2.0

package rest

import "net/http"

// contractOperations describes the routes.
func contractOperations() map[string]operation {
	source := &content{
		types: append([]string{typeJSON}, idlTypes()...), schema: "ContractSource",
		need: true, example: jsonObject{"files": jsonObject{
			"greeter.thrift": "service greeter { string greet(1: string name) }",
		}},
	}
	return map[string]operation{
		"GET /contracts": {
			id: "listContracts", tag: tagServices, summary: "List the contracts of services",
			answers: answers(shows("Those of services that you may see.", "ContractList")),
		},
		"GET /services/{svc}/openapi.json": {
			id: "serviceOpenapi", tag: tagServices, summary: "Describe a service that has a contract",
			headers: []string{"If-None-Match"},
			answers: answers(
				outcome{
					status: http.StatusOK, about: "OpenAPI 3.1, the same octets for the same contract.",
					body: &content{types: []string{typeJSON}}, headers: []string{"ETag"},
				},
				outcome{status: http.StatusNotModified, about: "It is as you know it."},
			),
			problems: []string{wordNotFound},
		},
		"PUT /contracts/{name}": {
			id: "putContract", tag: tagServices,
			summary: "Say by Thrift IDL what services take and answer",
			query:   []string{"force"}, takes: source,
			answers: answers(
				outcome{
					status: http.StatusCreated, about: "It is new.", body: jsonOf("Contract", nil),
					headers: []string{"Location"},
				},
				shows("It is in the place of the one before it, whose calls go on.", "Contract"),
			),
			problems: []string{
				wordBadRequest, "forbidden", "conflict", wordTooLarge, wordMediaType, "quota", "alarm",
			},
		},
		"GET /contracts/{name}": {
			id: "getContract", tag: tagServices, summary: "Show a contract",
			answers:  answers(shows("It, its files and methods.", "Contract")),
			problems: []string{wordNotFound},
		},
		"DELETE /contracts/{name}": {
			id: "deleteContract", tag: tagServices,
			summary:  "Delete a contract; an absent one is no error",
			answers:  answers(done("No such contract is in force.")),
			problems: []string{"forbidden", "conflict"},
		},
	}
}

// contractMemberTexts says what the members of bodies about contracts are.
func contractMemberTexts() map[string]string {
	return map[string]string{
		"changes":                 "What differs from the version before.",
		"column":                  "From 1, in bytes.",
		"configured":              "It stands in the configuration, and cannot be replaced.",
		"data":                    "The fields of the exception.",
		"pointer":                 "Where in the JSON of the request it is (RFC 6901).",
		"faults":                  "What is wrong, and where.",
		"file":                    "A file of the contract.",
		"files":                   "The texts of the files, by their paths.",
		"i64":                     "How JSON has 64-bit integers: number, the default, or string.",
		"idempotent":              "It may be called twice.",
		"include":                 "Directories among the files, to search for what is included.",
		"level":                   "error: it breaks something; else warning.",
		"line":                    "From 1.",
		"methods":                 "By the hub's services.",
		"oneway":                  "It has no answer.",
		"root":                    "The file whose services it is about.",
		"rule":                    "What kind of change it is.",
		"warnings":                "What is odd, and where.",
		"Contract.services":       "Those of the IDL by the hub's, which are queues.",
		"ContractList.items":      "By their names.",
		"ContractMethod.about":    "What the IDL says of it.",
		"ContractSource.services": "Those of the IDL by the hub's. Default: all, under their own names.",
	}
}
