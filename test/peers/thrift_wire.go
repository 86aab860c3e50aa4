// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	apache "github.com/apache/thrift/lib/go/thrift"
)

// What a compiler would have generated of IDL, by hand: every method takes one string, and returns a
// string or nothing.

// textArgs are the arguments of a method.
type textArgs struct{ text string }

// Write implements apache.TStruct.
func (a *textArgs) Write(ctx context.Context, p apache.TProtocol) error {
	return writeText(ctx, p, textField{1, a.text})
}

// Read implements apache.TStruct.
func (a *textArgs) Read(ctx context.Context, p apache.TProtocol) error {
	return readFields(ctx, p, func(id int16, kind apache.TType) (bool, error) {
		if id != 1 || kind != apache.STRING {
			return false, nil
		}
		var err error
		a.text, err = p.ReadString(ctx)
		return true, err
	})
}

// textResult is what a method returns: a string, nothing, or the exception Refused.
type textResult struct {
	void    bool
	success *string
	refused *string // why
}

// Write implements apache.TStruct.
func (r *textResult) Write(ctx context.Context, p apache.TProtocol) error {
	switch {
	case r.refused != nil:
		return errors.Join(
			p.WriteStructBegin(ctx, "result"),
			p.WriteFieldBegin(ctx, "refused", apache.STRUCT, 1),
			writeText(ctx, p, textField{1, *r.refused}),
			p.WriteFieldEnd(ctx), p.WriteFieldStop(ctx), p.WriteStructEnd(ctx))
	case r.success != nil && !r.void:
		return writeText(ctx, p, textField{0, *r.success})
	}
	return writeText(ctx, p)
}

// Read implements apache.TStruct.
func (r *textResult) Read(ctx context.Context, p apache.TProtocol) error {
	text := func(to **string) error {
		s, err := p.ReadString(ctx)
		*to = &s
		return err
	}
	return readFields(ctx, p, func(id int16, kind apache.TType) (bool, error) {
		switch {
		case id == 0 && kind == apache.STRING:
			return true, text(&r.success)
		case id == 1 && kind == apache.STRUCT:
			r.refused = new(string)
			return true, readFields(ctx, p, func(id int16, kind apache.TType) (bool, error) {
				if id != 1 || kind != apache.STRING {
					return false, nil
				}
				return true, text(&r.refused)
			})
		}
		return false, nil
	})
}

// textField is a field of a struct.
type textField struct {
	id   int16
	text string
}

// writeText writes a struct of strings.
func writeText(ctx context.Context, p apache.TProtocol, fields ...textField) error {
	err := p.WriteStructBegin(ctx, "struct")
	for _, f := range fields {
		err = errors.Join(err,
			p.WriteFieldBegin(ctx, "text", apache.STRING, f.id),
			p.WriteString(ctx, f.text),
			p.WriteFieldEnd(ctx))
	}
	return errors.Join(err, p.WriteFieldStop(ctx), p.WriteStructEnd(ctx))
}

// readFields reads a struct: field takes the ones it knows, the others are skipped.
func readFields(
	ctx context.Context, p apache.TProtocol, field func(int16, apache.TType) (bool, error),
) error {
	if _, err := p.ReadStructBegin(ctx); err != nil {
		return err
	}
	for {
		_, kind, id, err := p.ReadFieldBegin(ctx)
		if err != nil {
			return err
		}
		if kind == apache.STOP {
			return p.ReadStructEnd(ctx)
		}
		taken, err := field(id, kind)
		if err == nil && !taken {
			err = p.Skip(ctx, kind)
		}
		if err != nil {
			return err
		}
		if err := p.ReadFieldEnd(ctx); err != nil {
			return err
		}
	}
}

// textsResult is what a gather returns; a server's has the one element that it is.
type textsResult struct{ success []string }

// Write implements thrift.TStruct.
func (r *textsResult) Write(ctx context.Context, p apache.TProtocol) error {
	err := errors.Join(
		p.WriteStructBegin(ctx, "result"),
		p.WriteFieldBegin(ctx, "success", apache.LIST, 0),
		p.WriteListBegin(ctx, apache.STRING, len(r.success)))
	for _, text := range r.success {
		err = errors.Join(err, p.WriteString(ctx, text))
	}
	return errors.Join(err, p.WriteListEnd(ctx), p.WriteFieldEnd(ctx), p.WriteFieldStop(ctx),
		p.WriteStructEnd(ctx))
}

// Read implements thrift.TStruct.
func (r *textsResult) Read(ctx context.Context, p apache.TProtocol) error {
	return readFields(ctx, p, func(id int16, kind apache.TType) (bool, error) {
		if id != 0 || kind != apache.LIST {
			return false, nil
		}
		_, n, err := p.ReadListBegin(ctx)
		for range n {
			var text string
			if text, err = p.ReadString(ctx); err != nil {
				break
			}
			r.success = append(r.success, text)
		}
		return true, errors.Join(err, p.ReadListEnd(ctx))
	})
}

// matrixProcessor serves Matrix: all methods but those that the hub carries out are one handler.
type matrixProcessor struct {
	h  Handler
	mu sync.Mutex // a handler answers one request at a time
}

// ProcessorMap implements apache.TProcessor: methods are told apart below.
func (m *matrixProcessor) ProcessorMap() map[string]apache.TProcessorFunction { return nil }

// AddToProcessorMap implements apache.TProcessor.
func (m *matrixProcessor) AddToProcessorMap(string, apache.TProcessorFunction) {}

// Process implements apache.TProcessor.
func (m *matrixProcessor) Process(
	ctx context.Context, in, out apache.TProtocol,
) (bool, apache.TException) {
	method, _, seq, err := in.ReadMessageBegin(ctx)
	if err != nil {
		return false, apache.WrapTException(err)
	}
	var args textArgs
	if err := errors.Join(args.Read(ctx, in), in.ReadMessageEnd(ctx)); err != nil {
		return false, apache.WrapTException(err)
	}
	answer := message{out: out, method: method, seq: seq}
	if method == methodAsk || method == methodCollect {
		unknown := apache.NewTApplicationException(
			apache.UNKNOWN_METHOD, "Unknown function "+method)
		return false, answer.write(ctx, apache.EXCEPTION, unknown)
	}
	reply, err := m.handle(ctx, in, args.text)
	if err != nil {
		return false, apache.WrapTException(err)
	}
	result := &textResult{void: method == methodNews, success: &reply.Body}
	switch {
	case method == methodTell:
		return true, nil
	case method == methodEveryone, method == methodTwo, method == methodUntil:
		return true, answer.write(ctx, apache.REPLY, &textsResult{[]string{reply.Body}})
	case reply.Error == "exception":
		result.refused = &reply.Body
	case reply.Error != "":
		internal := apache.NewTApplicationException(
			apache.INTERNAL_ERROR, "Internal error processing "+method+": "+reply.Body)
		return true, answer.write(ctx, apache.EXCEPTION, internal)
	}
	return true, answer.write(ctx, apache.REPLY, result)
}

// connectivityInterval is how often a server looks whether its caller is still there, as generated
// code does.
const connectivityInterval = 5 * time.Millisecond

// handle lets the handler answer, or stay silent until the caller is gone.
func (m *matrixProcessor) handle(
	ctx context.Context, in apache.TProtocol, text string,
) (Reply, error) {
	ctx, cancel := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		tick := time.NewTicker(connectivityInterval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if !in.Transport().IsOpen() {
					cancel()
				}
			}
		}
	})
	defer watch.Wait()
	defer cancel()
	m.mu.Lock()
	reply := m.h(ctx, Request{Body: text, Left: timeLeft(ctx)})
	m.mu.Unlock()
	if !reply.Silent {
		return reply, nil
	}
	<-ctx.Done()
	return reply, apache.ErrAbandonRequest
}

// timeLeft is what a caller says in its header.
func timeLeft(ctx context.Context) time.Duration {
	text, _ := apache.GetHeader(ctx, headerTimeout)
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}

// message is an answer on its way.
type message struct {
	out    apache.TProtocol
	method string
	seq    int32
}

func (m message) write(
	ctx context.Context, kind apache.TMessageType, body interface {
		Write(context.Context, apache.TProtocol) error
	},
) apache.TException {
	return apache.WrapTException(errors.Join(
		m.out.WriteMessageBegin(ctx, m.method, kind, m.seq), body.Write(ctx, m.out),
		m.out.WriteMessageEnd(ctx), m.out.Flush(ctx)))
}
