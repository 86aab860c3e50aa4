// SPDX-License-Identifier: Apache-2.0

package broker

import "time"

// OperationTerms are what is known of an operation of a service, whoever calls it.
type OperationTerms struct {
	// Timeout is how long a call may take that does not say; 0: nobody says.
	Timeout time.Duration
	// Idempotent says that it may be called twice.
	Idempotent bool
}

// Operation returns what is known of an operation of a service: nothing, without Options.Operation.
// The operation is borrowed.
func (v *VirtualHost) Operation(service string, operation []byte) OperationTerms {
	if v.b.operation == nil {
		return OperationTerms{}
	}
	return v.b.operation(v.name, service, operation)
}

// timeout is how long a call of an operation may take that does not say.
func (v *VirtualHost) timeout(service string, operation []byte, otherwise time.Duration) time.Duration {
	if t := v.Operation(service, operation).Timeout; t > 0 {
		return t
	}
	return otherwise
}
