// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/parley-ipc/parley/internal/trace"
)

const userAgent = "parley"

// post is one POST to a target.
type post struct {
	target        *url.URL
	header        http.Header
	body          []byte
	timeout       time.Duration
	attempt       uint32
	authorization string
	key           []byte // signs it; nil: nothing does
	id            string // the same in each attempt
	wantsReply    bool
}

// outcome is what became of a post.
type outcome struct {
	verdict verdict
	pause   time.Duration // for wait
	why     string        // for logs, of what was not taken
	reply   *reply        // nil: the answer is none
}

// reply is an answer that is a reply to the message.
type reply struct {
	status      int
	contentType string
	body        []byte
	fault       string // why it cannot be used
}

// do posts, and reads the answer as far as it counts.
func (p *Pusher) do(ctx context.Context, o *post) outcome {
	out := p.try(ctx, o)
	if ctx.Err() != nil && out.verdict != taken {
		out.verdict = interrupted
	}
	p.posts[out.verdict].Inc()
	return out
}

func (p *Pusher) try(ctx context.Context, o *post) outcome {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, o.target.String(),
		bytes.NewReader(o.body))
	if err != nil {
		return outcome{verdict: failed, why: reason(err)}
	}
	req.Header = o.header
	p.address(req, o)
	res, err := p.client.Do(req)
	if err != nil {
		return outcome{verdict: failed, why: reason(err)}
	}
	defer res.Body.Close()
	out := outcome{}
	out.verdict, out.pause = verdictOf(res.StatusCode, res.Header, time.Now())
	if out.verdict != taken {
		out.why = "the target answered " + strconv.Itoa(res.StatusCode)
	} else if o.wantsReply && res.StatusCode != http.StatusAccepted {
		out.reply = readReply(res) // after 202 it comes another way, if at all
	}
	if out.reply == nil {
		_, _ = io.CopyN(io.Discard, res.Body, drainedBytesMax) // only the status counts
	}
	return out
}

// address sets what every post carries (rest.md, Webhooks).
func (p *Pusher) address(req *http.Request, o *post) {
	h := req.Header
	h.Set("WebHook-Request-Origin", p.name)
	h.Set("User-Agent", userAgent)
	h.Set("Parley-Attempt", strconv.FormatUint(uint64(o.attempt), 10))
	if _, ok := trace.Parse(h.Get("Traceparent")); !ok {
		h.Set("Traceparent", trace.New(false).String())
	}
	if o.authorization != "" {
		h.Set("Authorization", o.authorization)
	}
	if len(o.key) > 0 {
		sign(h, o, time.Now())
	}
}

// sign adds the signature of Standard Webhooks: the key's HMAC over id, time and body.
func sign(h http.Header, o *post, now time.Time) {
	at := strconv.FormatInt(now.Unix(), 10)
	mac := hmac.New(sha256.New, o.key)
	_, _ = mac.Write([]byte(o.id + "." + at + ".")) // a hash takes everything
	_, _ = mac.Write(o.body)
	h.Set("Webhook-Id", o.id)
	h.Set("Webhook-Timestamp", at)
	h.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

// readReply reads the body of an answer to a message with a reply address. It has a type, unless it is
// empty.
func readReply(res *http.Response) *reply {
	r := &reply{status: res.StatusCode, contentType: res.Header.Get("Content-Type")}
	var err error
	r.body, err = io.ReadAll(io.LimitReader(res.Body, answerBytesMax+1))
	switch {
	case err != nil:
		r.fault = "the reply could not be read: " + reason(err)
	case len(r.body) > answerBytesMax:
		r.fault = "the reply is larger than the hub takes"
	case len(r.body) > 0 && r.contentType == "":
		r.fault = "the reply has no Content-Type"
	}
	return r
}

// idBytes is the size of ids that are made up (128 bits).
const idBytes = 16

func newID() string {
	var raw [idBytes]byte
	_, _ = rand.Read(raw[:]) // never fails: crypto/rand ends the process instead
	return base64.RawURLEncoding.EncodeToString(raw[:])
}
