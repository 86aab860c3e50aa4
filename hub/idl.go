// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/parley-ipc/parley/internal/contract"
)

// ReadIDL reads a file of Thrift IDL of this machine, and what it includes, which may lie anywhere: the
// files are the user's own. A fault of the IDL is a contract.Errors with positions to show. Those in
// the program begin at the root directory; ShownPosition is for them.
func ReadIDL(name string, include []string) (*contract.Program, error) {
	program, _, err := readIDL(name, include)
	return program, err
}

// CheckIDL says what a hub would refuse besides of a program that ReadIDL has read, as a contract.Errors
// with positions to show: annotations and defaults that cannot be.
func CheckIDL(program *contract.Program) error {
	_, err := contract.New(program.Name, program, contract.Settings{})
	return shownFaults(err)
}

// ReadContract reads the same as what can be pushed to a hub.
func ReadContract(name string, include []string) (*contract.Source, error) {
	_, source, err := readIDL(name, include)
	return source, err
}

func readIDL(name string, include []string) (*contract.Program, *contract.Source, error) {
	if _, err := os.Stat(name); err != nil {
		return nil, nil, err
	}
	file, err := belowRoot(name)
	if err != nil {
		return nil, nil, err
	}
	var o contract.Options
	for _, dir := range include {
		below, err := belowRoot(dir)
		if err != nil {
			return nil, nil, err
		}
		o.IncludePath = append(o.IncludePath, below)
	}
	files := os.DirFS(fileRoot())
	program, err := contract.Load(files, file, o)
	if err != nil {
		return nil, nil, shownFaults(err)
	}
	source, err := contract.ReadSource(files, program, o.IncludePath)
	return program, source, err
}

// shownFaults turns the positions of what is wrong with an IDL into those to show.
func shownFaults(err error) error {
	if faults, ok := errors.AsType[contract.Errors](err); ok {
		for _, e := range faults {
			e.Pos = ShownPosition(e.Pos)
		}
	}
	return err
}

// fileRoot is the directory that holds all others, on the volume of the working directory.
func fileRoot() string {
	const here = "."
	abs, err := filepath.Abs(here)
	if err != nil { // the working directory is gone; names from the root are still good
		abs = ""
	}
	return filepath.VolumeName(abs) + string(filepath.Separator)
}

// belowRoot is a path as io/fs has it.
func belowRoot(name string) (string, error) {
	abs, err := filepath.Abs(name)
	if err != nil {
		return "", err
	}
	below, ok := strings.CutPrefix(abs, fileRoot())
	switch {
	case !ok:
		return "", fmt.Errorf("%s is on another volume than the working directory", name)
	case below == "":
		return ".", nil
	}
	return filepath.ToSlash(below), nil
}

// ShownPosition names a file as one would type it: from the working directory, if it is below that.
func ShownPosition(pos contract.Position) contract.Position {
	abs := filepath.Join(fileRoot(), filepath.FromSlash(pos.File))
	pos.File = abs
	here, err := filepath.Abs(".")
	if err != nil {
		return pos
	}
	if rel, err := filepath.Rel(here, abs); err == nil && filepath.IsLocal(rel) {
		pos.File = rel
	}
	return pos
}
