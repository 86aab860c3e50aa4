// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io/fs"
	"syscall"

	"github.com/parley-ipc/parley"
	"github.com/parley-ipc/parley/hub"
	"github.com/parley-ipc/parley/internal/config"
	"github.com/parley-ipc/parley/internal/contract"
)

// Exit codes; exitHelp prints them.
const (
	exitOK           = 0
	exitFailed       = 1
	exitUsage        = 2
	exitPartly       = 3
	exitTimedOut     = 4
	exitNobody       = 5
	exitRefused      = 6
	exitUnreachable  = 7
	exitServiceError = 64 // + google.rpc code
	exitInterrupted  = 130

	// rpcFailedPrecondition is the google.rpc code of an exception that a service answers.
	rpcFailedPrecondition = 9
)

const exitHelp = `Exit codes:
  0    ok
  1    failed
  2    usage, configuration or contract invalid
  3    partly done (a gather that is incomplete, a log that is not saved whole)
  4    timed out
  5    no such queue, or nobody answers
  6    refused (authentication, permission)
  7    hub unreachable or draining
  64+n the service answered an error; n is its google.rpc code (73: an exception)
  130  interrupted
`

// usageError is a command line that cannot be carried out as it is written.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// fileFault makes a file that cannot be read what it is: a wrong argument.
func fileFault(err error) error {
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return usageError{err}
	}
	return err
}

// exitCode translates an error.
func exitCode(ctx context.Context, err error) int {
	var usage usageError
	var faults config.Faults
	var idl contract.Errors
	var incomplete *parley.Incomplete
	var e *parley.Error
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage), errors.As(err, &faults), errors.As(err, &idl):
		return exitUsage
	case ctx.Err() != nil:
		return exitInterrupted
	case errors.As(err, &incomplete), errors.Is(err, errLost):
		return exitPartly
	case errors.As(err, &e):
		return codeExit(e.Code)
	case errors.Is(err, context.DeadlineExceeded):
		return exitTimedOut
	}
	return exitFailed
}

// codeExit translates the code of an answer or of the hub.
func codeExit(code parley.Code) int {
	switch code { //nolint:exhaustive // the rest is one group
	case parley.CodeBadRequest:
		return exitUsage
	case parley.CodeDeadline:
		return exitTimedOut
	case parley.CodeNotFound, parley.CodeNoService, parley.CodeNoMethod, parley.CodeUnroutable,
		parley.CodeResultGone, parley.CodeNoInstance, parley.CodeBreakerOpen:
		return exitNobody
	case parley.CodeUnauthenticated, parley.CodeForbidden:
		return exitRefused
	case parley.CodeUnreachable, parley.CodeDraining:
		return exitUnreachable
	case parley.CodeException:
		return exitServiceError + rpcFailedPrecondition
	case parley.CodeCanceled:
		return exitInterrupted
	}
	return exitFailed
}

// advice says what to do about an error, or nothing.
func advice(err error) string {
	if _, damaged := errors.AsType[*hub.DamageError](err); damaged {
		return "copy what is sound into a new directory: parley log salvage DIR NEWDIR"
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		return "is a hub running already? doors.NAME.listen is another address, or off"
	}
	var e *parley.Error
	if !errors.As(err, &e) {
		return ""
	}
	if _, dialing := errors.AsType[dialError](err); dialing && e.Code == parley.CodeDeadline {
		return "--url is the hub's door for AMQP; what listens there does not answer as one"
	}
	switch e.Code { //nolint:exhaustive // for the rest the message says it
	case parley.CodeUnreachable:
		return "is a hub running there? start one with: parley serve"
	case parley.CodeUnauthenticated:
		return "give user and password in --url parley://USER:PASSWORD@HOST"
	case parley.CodeNoService:
		return "nobody has declared that service; `parley reply` or any consumer of its queue does"
	case parley.CodeNoInstance:
		return "the service is known, but no instance is attached now; `parley send` would wait"
	case parley.CodeDeadline:
		return "give it more time with --timeout"
	}
	return ""
}
