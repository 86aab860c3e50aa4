// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/template"
	"unicode/utf8"
)

// maxCellRunes bounds how much of a value a table shows.
const maxCellRunes = 100

// cell is one named value of a row, in the order of printing.
type cell struct {
	name  string
	value any
}

// row is one thing to print: a line of JSON, a line of a table, or what a template makes of it.
// Empty values are left out of JSON.
type row []cell

func (r row) object() map[string]any {
	out := make(map[string]any, len(r))
	for _, c := range r {
		out[c.name] = c.value
	}
	return out
}

// MarshalJSON keeps the order of the cells.
func (r row) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for _, c := range r {
		if empty(c.value) {
			continue
		}
		value, err := marshal(c.value)
		if err != nil {
			return nil, err
		}
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:%s", c.name, value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// marshal is json.Marshal that leaves <, > and & as they are: nobody reads this as HTML.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case int:
		return v == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

// bodyCells returns a body as JSON when it is some, as text when it is UTF-8, else in base64.
func bodyCells(body []byte) row {
	switch {
	case len(body) == 0:
		return row{{"body", nil}}
	case json.Valid(body):
		return row{{"body", json.RawMessage(body)}}
	case utf8.Valid(body):
		return row{{"body", string(body)}}
	}
	return row{{"body_b64", base64.StdEncoding.EncodeToString(body)}}
}

func checkFormat(format string) error {
	switch format {
	case "auto", "table", "jsonl", "json", "raw":
		return nil
	}
	text, ok := strings.CutPrefix(format, "tmpl=")
	if !ok {
		return usagef("-o %q is not auto, table, jsonl, json, raw or tmpl=TEMPLATE", format)
	}
	if _, err := template.New("output").Parse(text); err != nil {
		return usageError{err}
	}
	return nil
}

// printer writes rows in the format that was asked for.
type printer struct {
	out    io.Writer
	format string
	tmpl   *template.Template
	widths []int
	head   bool // the table's head is written
	hold   bool // rows of a table wait for flush
	held   [][]string
}

// printer returns a printer; format auto is a table on a terminal and JSON lines elsewhere.
func (a *app) printer() *printer {
	p := &printer{out: a.out, format: a.format}
	if p.format == "auto" {
		p.format = "jsonl"
		if a.terminal {
			p.format = "table"
		}
	}
	if text, ok := strings.CutPrefix(p.format, "tmpl="); ok {
		// checkFormat has parsed it before.
		p.tmpl = template.Must(template.New("output").Parse(text))
	}
	return p
}

// listPrinter returns a printer that keeps the rows of a table until flush, when it knows the widths.
func (a *app) listPrinter() *printer {
	p := a.printer()
	p.hold = true
	return p
}

// flush writes the rows that wait.
func (p *printer) flush() error {
	for _, texts := range p.held {
		if err := p.line(texts); err != nil {
			return err
		}
	}
	p.held = nil
	return nil
}

// put writes one row; raw is what -o raw writes of it.
func (p *printer) put(r row, raw []byte) error {
	var err error
	switch {
	case p.tmpl != nil:
		if err = p.tmpl.Execute(p.out, r.object()); err == nil {
			_, err = io.WriteString(p.out, "\n")
		}
	case p.format == "raw":
		_, err = p.out.Write(raw)
	case p.format == "table":
		err = p.tableRow(r)
	default:
		err = p.json(r)
	}
	return err
}

// answer writes a single body: as it is, with a line end, unless a format asks for more.
func (p *printer) answer(body []byte) error {
	switch {
	case p.tmpl != nil:
		var v any
		if err := json.Unmarshal(body, &v); err != nil {
			v = string(body)
		}
		if err := p.tmpl.Execute(p.out, v); err != nil {
			return err
		}
		_, err := io.WriteString(p.out, "\n")
		return err
	case p.format == "raw" || !json.Valid(body):
		if p.format != "raw" && len(body) > 0 && !bytes.HasSuffix(body, []byte("\n")) {
			body = append(body, '\n')
		}
		_, err := p.out.Write(body)
		return err
	}
	var b bytes.Buffer
	var err error
	if p.format == "json" {
		err = json.Indent(&b, bytes.TrimSpace(body), "", "  ")
	} else {
		err = json.Compact(&b, body)
	}
	if err != nil {
		return err
	}
	b.WriteByte('\n')
	_, err = p.out.Write(b.Bytes())
	return err
}

func (p *printer) json(v row) error {
	data, err := v.MarshalJSON()
	if err != nil {
		return err
	}
	if p.format == "json" {
		var b bytes.Buffer
		if err := json.Indent(&b, data, "", "  "); err != nil {
			return err
		}
		data = b.Bytes()
	}
	_, err = p.out.Write(append(data, '\n'))
	return err
}

// tableRow writes a line whose columns are as wide as the widest so far, so that rows can be
// printed as they come.
func (p *printer) tableRow(r row) error {
	texts := make([]string, len(r))
	names := make([]string, len(r))
	for i, c := range r {
		names[i], texts[i] = strings.ToUpper(c.name), cellText(c.value)
		if i == len(p.widths) {
			p.widths = append(p.widths, len(names[i]))
		}
		p.widths[i] = max(p.widths[i], utf8.RuneCountInString(texts[i]))
	}
	lines := [][]string{texts}
	if !p.head {
		p.head = true
		lines = [][]string{names, texts}
	}
	if p.hold {
		p.held = append(p.held, lines...)
		return nil
	}
	for _, line := range lines {
		if err := p.line(line); err != nil {
			return err
		}
	}
	return nil
}

func (p *printer) line(texts []string) error {
	var b strings.Builder
	for i, t := range texts {
		b.WriteString(t)
		if i < len(texts)-1 {
			b.WriteString(strings.Repeat(" ", p.widths[i]-utf8.RuneCountInString(t)+2))
		}
	}
	_, err := io.WriteString(p.out, strings.TrimRight(b.String(), " ")+"\n")
	return err
}

// cellText is a value in a table: one line, no control characters, not endless.
func cellText(v any) string {
	var s string
	switch v := v.(type) {
	case nil:
	case string:
		s = v
	case json.RawMessage:
		s = string(v)
	case map[string]any:
		if data, err := marshal(v); err == nil && len(v) > 0 {
			s = string(data)
		}
	default:
		s = fmt.Sprint(v)
	}
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	if runes := []rune(clean); len(runes) > maxCellRunes {
		return string(runes[:maxCellRunes-1]) + "…"
	}
	return clean
}
