// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"strings"

	"github.com/parley-ipc/parley"
)

const (
	// progressMark begins the lines on standard error by which a command tells how far it is.
	progressMark = "parley-progress:"
	// maxProgressLine bounds what is kept of a line before its end has come.
	maxProgressLine = 4 << 10
)

// progressLines takes the standard error of a command: lines with the mark are told to who asked, the
// rest goes to out.
type progressLines struct {
	tell func(text string)
	out  bytes.Buffer
	line []byte // without its end yet
}

// Write implements io.Writer.
func (p *progressLines) Write(data []byte) (int, error) {
	n := len(data)
	for len(data) > 0 {
		part, rest, ended := bytes.Cut(data, []byte("\n"))
		p.line = append(p.line, part...)
		if ended {
			p.end("\n")
		} else if len(p.line) > maxProgressLine {
			p.end("")
		}
		data = rest
	}
	return n, nil
}

// end takes the line as it is.
func (p *progressLines) end(ending string) {
	if text, ok := strings.CutPrefix(string(p.line), progressMark); ok {
		p.tell(strings.TrimSpace(text))
	} else {
		p.out.Write(p.line)
		p.out.WriteString(ending)
	}
	p.line = p.line[:0]
}

// text returns what was no progress.
func (p *progressLines) text() string {
	p.end("")
	return p.out.String()
}

// newProgressLines tells what a command writes to who waits for the handler of ctx.
func (a *app) newProgressLines(ctx context.Context) *progressLines {
	return &progressLines{tell: func(text string) {
		if err := parley.ReportProgress(ctx, parley.ParseProgress(text)); err != nil {
			a.note("progress not told: %v", err)
		}
	}}
}
