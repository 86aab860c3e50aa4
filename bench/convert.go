// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parley-ipc/parley/bench/internal/peer"
	"github.com/parley-ipc/parley/bench/internal/stat"
)

// The codecs that the program below transcode measures beside parley, as it names them.
const (
	codecDynamic = "dynamicgo"
	codecKitex   = "Kitex"
)

// convertSeconds is the processor time of one run of one conversion.
const convertSeconds = 0.3

const convertNote = "Conversions of one struct in one process, one at a time, in alternation, over the same " +
	"IDL and the same bytes (`bench/transcode`): a string field with an escape, one with " +
	"characters beyond ASCII, a map, octets, and a list of structs of six fields. The sizes are those of the JSON. " +
	"Time is the processor's, the garbage collector's included. Kitex is its codec for generic calls with JSON, from string to " +
	"buffer and back, as a client and a server of it do; with dynamicgo it is the same with that below; " +
	"dynamicgo alone is its converters without a call, whose JSON to Thrift is machine code with vector " +
	"instructions. In the opposite order " +
	"of the ids parley writes the fields in theirs; dynamicgo and Kitex write them as they come. Neither of them " +
	"takes every IDL: no uuid, one argument a method, one exception."

// conversion is what that program has measured of one codec at one work and size.
type conversion struct {
	Work    string    `json:"work"`
	Size    string    `json:"size"`
	Peer    string    `json:"peer"`
	Version string    `json:"version,omitempty"`
	JSON    int       `json:"json"`
	Nanos   []float64 `json:"nanos"` // for one, by round
	Allocs  float64   `json:"allocs"`
}

func convertWork() work {
	return work{
		name:  transcode,
		kind:  converted,
		title: "JSON to Thrift and back",
		unit:  "conversions",
		note:  convertNote,
	}
}

// conversions runs the program. Where it cannot be built, because Kitex or dynamicgo cannot, the
// report says so.
func (e *engine) conversions(ctx context.Context, _ []peer.Peer, rep *report) error {
	if !slices.ContainsFunc(e.opts.Works, func(w work) bool { return w.kind == converted }) {
		return nil
	}
	program := filepath.Join(e.dir, "transcode")
	e.say("building %s", "transcode")
	// dynamicgo refers to what the runtime does not export.
	build := exec.CommandContext(ctx, "go", "build", "-ldflags=-checklinkname=0", "-o", program, ".")
	build.Dir = filepath.Join(e.opts.Root, "bench", "transcode")
	if out, err := build.CombinedOutput(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		line := fmt.Sprintf("%s is not measured: %v: %s", transcode, err, oneLine(string(out)))
		rep.Missing = append(rep.Missing, line)
		e.say("%s", line)
		return nil
	}
	e.say("%s", "converting")
	var errs strings.Builder
	run := exec.CommandContext(ctx, program, "-runs", strconv.Itoa(e.opts.Runs),
		"-seconds", fmt.Sprint(convertSeconds))
	run.Stderr = &errs
	out, err := run.Output()
	if err != nil {
		return fmt.Errorf("transcode: %w: %s", err, errs.String())
	}
	rep.Conversions, err = parseConversions(out)
	return err
}

// parseConversions reads the lines of the program.
func parseConversions(out []byte) ([]conversion, error) {
	var list []conversion
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var c conversion
		if err := d.Decode(&c); errors.Is(err, io.EOF) {
			return list, nil
		} else if err != nil {
			return nil, fmt.Errorf("transcode: %w", err)
		}
		list = append(list, c)
	}
}

// codecs returns the names of the codecs in their order, and what each is.
func (r *report) codecs() (names, versions []string) {
	for _, c := range r.Conversions {
		if !slices.Contains(names, c.Peer) {
			names = append(names, c.Peer)
			versions = append(versions, strings.TrimSpace(c.Peer+" "+c.Version))
		}
	}
	return names, versions
}

// nanos returns the runs of a codec, nil for none.
func (r *report) nanos(work, size, codec string) []float64 {
	for _, c := range r.Conversions {
		if c.Work == work && c.Size == size && c.Peer == codec {
			return c.Nanos
		}
	}
	return nil
}

// timesCodec returns how many times as fast as another parley is, round by round.
func (r *report) timesCodec(work, size, codec string) stat.Summary {
	return stat.Summarise(stat.Ratios(r.nanos(work, size, codec), r.nanos(work, size, peer.Parley)))
}

// worstOf returns the conversion that compares worst with a codec's.
func worstOf(codec string) func(*report) stat.Summary {
	return func(r *report) stat.Summary {
		var worst stat.Summary
		for _, c := range r.Conversions {
			if c.Peer != codec {
				continue
			}
			if s := r.timesCodec(c.Work, c.Size, codec); worst.Runs == 0 || s.Median < worst.Median {
				worst = s
			}
		}
		return worst
	}
}

// convertCriteria are those of the conversions: each of them counts.
func convertCriteria() []criterion {
	return []criterion{
		{
			work: transcode, gate: true, text: "ahead of " + codecKitex + " in every conversion, at least %s x",
			want: 1, format: decimals, figure: worstOf(codecKitex),
		},
		{
			work: transcode, text: "at least %s x " + codecDynamic + " in every conversion", want: 0.5,
			format: decimals, figure: worstOf(codecDynamic),
		},
	}
}

// convertTitles are the conversions in words.
func convertTitles() map[string]string {
	return map[string]string{
		"to-thrift":           "JSON to Thrift",
		"to-thrift-backwards": "JSON to Thrift, members in the opposite order",
		"to-json":             "Thrift to JSON",
	}
}

// convertSection returns everything about the conversions.
func (r *report) convertSection(w work) string {
	var b strings.Builder
	names, versions := r.codecs()
	fmt.Fprintf(&b, "### %s\n\n`cd bench && go run . -work %s -runs %d`\n\n", w.title, w.name, r.Wanted)
	fmt.Fprintf(&b, "%s. Date: %s. Commit %s. Codecs: %s. %d rounds; medians, in brackets lowest and highest; x is how many "+
		"times as fast as the column's parley is.\n\n", r.Machine, r.Date.Format(time.DateOnly), r.Commit,
		strings.Join(versions, ", "), r.Wanted)
	var rows []row
	for _, c := range r.Conversions {
		if c.Peer != peer.Parley {
			continue
		}
		line := row{title: convertTitles()[c.Work] + ", " + c.Size + ", us"}
		allocs := row{title: "allocations"}
		for _, name := range names {
			cell := spread(stat.Summarise(inMicros(r.nanos(c.Work, c.Size, name))), decimals)
			if name != peer.Parley {
				cell += ", **" + decimals(r.timesCodec(c.Work, c.Size, name).Median) + " x**"
			}
			line.cells = append(line.cells, cell)
			allocs.cells = append(allocs.cells, whole(r.allocs(c.Work, c.Size, name)))
		}
		rows = append(rows, line, allocs)
	}
	writeTable(&b, names, rows)
	fmt.Fprintf(&b, "\n%s\n", w.note)
	if lines := r.verdicts(); len(lines) > 0 {
		fmt.Fprintf(&b, "\n- %s\n", strings.Join(lines, "\n- "))
	}
	return b.String()
}

func (r *report) allocs(work, size, codec string) float64 {
	for _, c := range r.Conversions {
		if c.Work == work && c.Size == size && c.Peer == codec {
			return c.Allocs
		}
	}
	return 0
}

func inMicros(nanos []float64) []float64 {
	out := make([]float64, len(nanos))
	for i, v := range nanos {
		out[i] = v / float64(time.Microsecond)
	}
	return out
}
