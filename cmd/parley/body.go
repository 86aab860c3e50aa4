// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"os"
	"strings"
	"text/template"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-ipc/parley"
)

// maxBodyBytes bounds a body that is read from a file or standard input.
const maxBodyBytes = 128 << 20

// bodyHelp explains the argument BODY.
const bodyHelp = "BODY is the text itself, @FILE for a file, or - for standard input. " +
	"It travels as JSON\nwhen it is valid JSON, else as text.\n"

// body reads a BODY argument.
func (a *app) body(arg string) ([]byte, error) {
	var from io.Reader
	switch {
	case arg == "-":
		from = a.in
	case strings.HasPrefix(arg, "@"):
		f, err := os.Open(arg[1:])
		if err != nil {
			return nil, usageError{err}
		}
		defer func() { _ = f.Close() }() // it was only read
		from = f
	default:
		return []byte(arg), nil
	}
	data, err := io.ReadAll(io.LimitReader(from, maxBodyBytes+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxBodyBytes {
		return nil, usagef("the body is larger than %d bytes", maxBodyBytes)
	}
	return data, nil
}

// bodyArg reads the BODY at a place of the arguments; none is an empty body.
func (a *app) bodyArg(args []string, at int) ([]byte, error) {
	if at >= len(args) {
		return nil, nil
	}
	return a.body(args[at])
}

// messageFlags are those of every verb that sends.
type messageFlags struct {
	headers     []string
	contentType string
}

func (f *messageFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVarP(&f.headers, "header", "H", nil, "add a header, NAME:VALUE")
	cmd.Flags().StringVar(&f.contentType, "content-type", "", "instead of the one guessed from BODY")
}

// options returns what the SDK is to add to a message with that body.
func (f *messageFlags) options(body []byte) ([]parley.CallOption, error) {
	contentType := f.contentType
	if contentType == "" {
		contentType = "text/plain; charset=utf-8"
		if len(body) == 0 || json.Valid(body) {
			contentType = "application/json"
		}
	}
	opts := []parley.CallOption{parley.ContentType(contentType)}
	for _, h := range f.headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok || name == "" {
			return nil, usagef("-H %q is not NAME:VALUE", h)
		}
		opts = append(opts, parley.Header(name, strings.TrimPrefix(value, " ")))
	}
	return opts, nil
}

// bodyTemplate makes a body for each message of many.
type bodyTemplate struct{ tmpl *template.Template }

// templateData is what a body template sees.
type templateData struct {
	// Count is the number of the message, from 1.
	Count int
	// Body is that of the request, in answers.
	Body string
}

// UUID returns a random UUID (RFC 9562, version 4).
func (templateData) UUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	x := hex.EncodeToString(b[:])
	return strings.Join([]string{x[:8], x[8:12], x[12:16], x[16:20], x[20:]}, "-")
}

// Time returns the time in RFC 3339.
func (templateData) Time() string { return time.Now().Format(time.RFC3339Nano) }

// Random returns a whole number between low and high, both included.
func (templateData) Random(low, high int) (int, error) {
	if low > high {
		return 0, fmt.Errorf("random %d %d: nothing between", low, high)
	}
	return low + mathrand.IntN(high-low+1), nil
}

func newBodyTemplate(text string) (*bodyTemplate, error) {
	t, err := template.New("body").Parse(text)
	if err != nil {
		return nil, usageError{err}
	}
	return &bodyTemplate{tmpl: t}, nil
}

func (t *bodyTemplate) render(d templateData) ([]byte, error) {
	var b bytes.Buffer
	if err := t.tmpl.Execute(&b, d); err != nil {
		return nil, usageError{err}
	}
	return b.Bytes(), nil
}
