// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"crypto/sha256"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/parley-ipc/parley/internal/broker"
)

// keyBytesMax bounds an idempotency key.
const keyBytesMax = 255

// idempotency returns what makes a request happen once, empty without the header Idempotency-Key
// (rest.md, Messages): the key, of this method and path, and the fingerprint of the whole request. Whose
// it is the heart knows.
func (v *visit) idempotency(body []byte) (key, fingerprint string, err error) {
	lines := v.r.Header.Values("Idempotency-Key")
	if len(lines) == 0 {
		if v.door.options.KeysRequired {
			return "", "", problemf(wordKeyMissing, "this hub wants an Idempotency-Key")
		}
		return "", "", nil
	}
	given, ok := parseKey(lines[0])
	if !ok || len(lines) > 1 {
		return "", "", badRequest("Idempotency-Key must be one string of 1 to %d printable"+
			" characters", keyBytesMax)
	}
	return digest(v.r.Method, v.target(), given),
		digest(v.r.Method, v.r.URL.RequestURI(), string(body)), nil
}

// publishOnce is publish with the header Idempotency-Key: the same publish again gets the answer of
// the first (rest.md, Messages).
func (d *Door) publishOnce(v *visit, to target, m *broker.Message, once broker.OnceParams) error {
	var first *broker.Request
	err := v.work(func(w *worker) (err error) {
		if first, err = w.publishOnce(m, to.params(), once); err != nil {
			return err
		}
		return w.Sync()
	})
	if err != nil {
		return to.explain(err)
	}
	v.w.Header().Set("Location", v.base()+to.location+url.PathEscape(first.MessageID))
	return v.reply(http.StatusCreated, routedBody{Routed: first.Routed})
}

// publishOnce publishes a message unless its key was used. The worker's count of publishes is no
// longer the heart's then.
func (w *worker) publishOnce(
	m *broker.Message, p broker.PublishParams, once broker.OnceParams,
) (*broker.Request, error) {
	w.spent = true
	return w.PublishOnce(m, p, once)
}

// entryKey returns the key of one entry of a batch, whose entries succeed or fail alone.
func entryKey(batch string, i int) string { return digest(batch, strconv.Itoa(i)) }

// digest returns the SHA-256 of some texts, each with an end of its own.
func digest(texts ...string) string {
	h := sha256.New()
	for _, text := range texts {
		sum := sha256.Sum256([]byte(text))
		_, _ = h.Write(sum[:]) // never fails
	}
	return string(h.Sum(nil))
}

// parseKey reads a structured field's string, or a bare one as most clients send it.
func parseKey(field string) (key string, ok bool) {
	field = strings.TrimSpace(field)
	if inner, quoted := strings.CutPrefix(field, `"`); quoted {
		inner, quoted = strings.CutSuffix(inner, `"`)
		if !quoted {
			return "", false
		}
		field = strings.NewReplacer(`\"`, "\x00", `\\`, `\`).Replace(inner)
		if strings.Contains(field, `"`) {
			return "", false
		}
		field = strings.ReplaceAll(field, "\x00", `"`)
	}
	for i := range len(field) {
		if field[i] < ' ' || field[i] > '~' {
			return "", false
		}
	}
	return field, field != "" && len(field) <= keyBytesMax
}
