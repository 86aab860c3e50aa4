// SPDX-License-Identifier: Apache-2.0

package differential

// A difference is one step at which parley may answer other than the oracle.
type difference struct {
	parley string // what parley's client sees
	why    string // the reason; names the RabbitMQ version that answers so, if one does
}

// allowed is the one table of differences, by "script: step".
func allowed() map[string]difference {
	return map[string]difference{}
}
