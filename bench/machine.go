// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
)

// Machine is where figures were taken.
type Machine struct {
	CPU      string `json:"cpu"`
	Cores    int    `json:"cores"`
	MemoryGB int    `json:"memoryGiB"`
	Kernel   string `json:"kernel"`
	Go       string `json:"go"`
}

// thisMachine reads what Linux says about the machine.
func thisMachine() Machine {
	m := Machine{
		CPU:   fieldOf("/proc/cpuinfo", "model name"),
		Cores: runtime.NumCPU(),
		Go:    runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH,
	}
	if kb, _, ok := strings.Cut(fieldOf("/proc/meminfo", "MemTotal"), " "); ok {
		if n, err := strconv.Atoi(kb); err == nil {
			m.MemoryGB = (n + 1<<19) >> 20
		}
	}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(text))
	}
	return m
}

func (m Machine) String() string {
	return fmt.Sprintf("%s, %d cores, %d GiB, Linux %s, %s",
		m.CPU, m.Cores, m.MemoryGB, m.Kernel, m.Go)
}

// defaultMachine makes a file name of processor and cores.
func defaultMachine() string {
	m := thisMachine()
	name := m.CPU
	if name == "" {
		name = runtime.GOARCH
	}
	name = regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(name), "-")
	return strings.Trim(name, "-") + "-" + strconv.Itoa(m.Cores) + "core"
}

// fieldOf returns the first value of a key in a file of "key : value" lines.
func fieldOf(path, key string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range bytes.Lines(text) {
		k, v, ok := bytes.Cut(line, []byte(":"))
		if ok && string(bytes.TrimSpace(k)) == key {
			return string(bytes.TrimSpace(v))
		}
	}
	return ""
}
