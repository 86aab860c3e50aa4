// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"sync"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/thrift"
)

// gathering is what comes back of a gather. Its functions are called one at a time, but not by who
// waits.
type gathering struct {
	call *call
	all  bool // everybody is asked to answer

	mu     sync.Mutex
	values []byte // the answers as JSON, each with a comma before it
	count  int
	bad    string // what is wrong with an answer that is left out
	end    broker.GatherResult
	over   bool // nobody waits, and the call is another's
	done   chan struct{}
}

// gather asks all instances of the service, or all who listen on the topic that the contract names.
// The result is a list with an element of each answer.
func (c *call) gather() error {
	if err := c.compose(wire.Call, c.method); err != nil {
		return err
	}
	timeout := c.patience()
	if err := c.addProperties(timeout, false); err != nil {
		return err
	}
	g := &gathering{call: c, done: make(chan struct{})}
	terms, _ := broker.GatherRule(c.method.Gather) // the contract has checked it
	terms.Total, g.all = timeout, terms.All
	p := broker.GatherParams{Message: &c.question, Terms: terms, Reply: g.reply, End: g.ended}
	c.question.Exchange, c.question.Key = nil, append(c.question.Key[:0], c.service...)
	if key := c.method.Publish; key != "" {
		c.question.Exchange = []byte(topicExchange)
		c.question.Key = append(c.question.Key[:0], key...)
	}
	session, err := c.caller.Sessions.Take()
	if err != nil {
		return err
	}
	err = session.Gather(p)
	c.caller.Sessions.Give(session)
	if err != nil {
		return err
	}
	select {
	case <-g.done:
	case <-c.ctx.Done():
		g.mu.Lock()
		g.over = true // what still comes finds nobody; the gather ends by its deadline
		g.mu.Unlock()
		return &broker.Error{Code: broker.CodeCanceled, Op: "gather", Text: "the caller went away"}
	}
	return g.answer()
}

// reply takes one answer in. An error of an instance is no element.
func (g *gathering) reply(from string, m *broker.Message) {
	var r reply
	r.set(m, true)
	r.body, r.failure = m.Body, m.Failure()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over {
		return
	}
	value, err := g.value(&r)
	if err == nil {
		err = g.add(value)
	}
	if err != nil {
		g.bad = shown(from) + ": " + err.Error()
		return
	}
	g.count++
}

// add adds elements to the list, which has to stay what the method returns: one answer that does not fit
// spoils none of the others.
func (g *gathering) add(value []byte) error {
	c := g.call
	if most := c.door.limits.MessageBytes; len(g.values)+len(value) >= most {
		return problemf(codeBadReply, "the answers have more than %d octets together", most)
	}
	list := append(append(append(make([]byte, 0, len(value)+len("[]")), '['), value...), ']')
	if _, err := c.transcoder.ResultFromJSON(nil, c.method, wire.Binary, list); err != nil {
		return &problem{word: codeBadReply, detail: err.Error()}
	}
	g.values = append(append(g.values, ','), value...)
	return nil
}

// value returns the elements that an answer is, as JSON without brackets. An instance that speaks
// Thrift has the method of the same contract, and so answers with a list; what an endpoint made JSON of
// it shows it where an element is no array itself.
func (g *gathering) value(r *reply) ([]byte, error) {
	if r.err != nil {
		return nil, r.err
	}
	if p := r.problem(); p != nil {
		return nil, &problem{word: p.Code, detail: p.Detail}
	}
	form, ok, _ := wire.Detect(r.body)
	if !isThrift(r.contentType) {
		value := bytes.TrimSpace(r.body)
		if !json.Valid(value) {
			return nil, problemf(codeBadReply, "the answer is no JSON")
		}
		if value[0] == '[' && !g.call.method.Function.Returns.True().Elem.IsArray() {
			return inside(value)
		}
		return value, nil
	}
	if !ok || form.Transport != wire.Unframed {
		return nil, problemf(codeBadReply, "no message")
	}
	// The call waits, and uses nothing of itself meanwhile.
	c := g.call
	c.reader.Reset(form.Protocol, r.body, c.door.answerLimits)
	h, err := c.reader.MessageBegin()
	if err != nil {
		return nil, err
	}
	if h.Type != wire.Reply {
		return nil, problemf(codeBadReply, "an instance answered with a %s", h.Type)
	}
	result, err := c.rest(false)
	if err != nil {
		return nil, err
	}
	list, thrown, err := c.transcoder.ResultToJSON(nil, c.method, form.Protocol, result)
	if err != nil {
		return nil, err
	}
	if thrown != nil {
		return nil, problemf(codeException, "an instance threw an exception")
	}
	return inside(bytes.TrimSpace(list))
}

// inside returns what is between the brackets of a list.
func inside(list []byte) ([]byte, error) {
	if len(list) < len("[]") || list[len(list)-1] != ']' {
		return nil, problemf(codeBadReply, "no list")
	}
	elements := bytes.TrimSpace(list[1 : len(list)-1])
	if len(elements) == 0 {
		return nil, problemf(codeBadReply, "an empty list")
	}
	return elements, nil
}

// ended ends the gather.
func (g *gathering) ended(r broker.GatherResult) {
	g.mu.Lock()
	g.end = r
	g.mu.Unlock()
	close(g.done)
}

// answer makes the list. One that was to have so many answers, or those of most, is no answer without
// them; of all who were asked those that answered are, if there are any.
func (g *gathering) answer() error {
	c := g.call
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.end.Complete && (!g.all || g.count == 0) {
		detail := strconv.Itoa(g.count) + " of " + strconv.Itoa(g.end.Asked) + " answered"
		if len(g.end.Missing) > 0 {
			detail += ", not " + shown(strings.Join(g.end.Missing, ", "))
		}
		return &broker.Error{Code: broker.CodeDeadline, Op: "gather", Text: detail}
	}
	if g.count == 0 && g.bad != "" {
		return problemf(codeBadReply, "no answer can be used: %s", g.bad)
	}
	list := []byte("[]") // of a sentinel alone
	if g.count > 0 {
		g.values[0] = '['
		list = append(g.values, ']')
	}
	result, err := c.transcoder.ResultFromJSON(c.body[:0], c.method, c.message.Protocol, list)
	if err != nil {
		return &problem{word: codeBadReply, detail: "the answers are no list: " + err.Error()}
	}
	c.body = result
	if c.answersHeaders() {
		word := "incomplete"
		if g.end.Complete {
			word = "complete"
		}
		c.info.Pairs = append(c.info.Pairs, wire.Pair{Key: []byte(broker.HeaderGatherEnd), Value: []byte(word)})
		if len(g.end.Missing) > 0 {
			c.info.Pairs = append(c.info.Pairs, wire.Pair{
				Key: []byte(broker.HeaderMissing), Value: []byte(strings.Join(g.end.Missing, ",")),
			})
		}
	}
	c.answerResult(result)
	return nil
}
