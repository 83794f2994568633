// Package service handles a package's service.yaml, which describes how a program
// without the plugin contract runs as a plugin (SPEC 16). It parses and validates the
// file (parse.go), checks whether the program is ready and healthy (check.go), and reads
// and writes the record of a run (run.go).
package service

import (
	"strings"
	"syscall"
	"time"

	"pluginsupervisor/internal/yamlfile"
)

// Service holds the values of a service.yaml. Paths are relative to the package's
// folder, or absolute for programs of the host.
type Service struct {
	Command     []string // the program and its arguments; no shell
	Environment map[string]string
	User, Group string // "" for that of the caller
	WorkingDir  string
	Stop        Stop
	Ready       Ready
	Health      Health
	Hooks       Hooks
	Limits      Limits
	Log         Log

	file  string         // the name of the file in mistakes
	lines map[string]int // the line of each key
}

// Stop holds the signal that asks the program to exit, and the time until it is killed.
type Stop struct {
	Signal  syscall.Signal
	Timeout time.Duration
}

// Check holds one kind of check, or none.
type Check struct {
	HTTP    string   // a URL that answers 200 to 299
	TCP     string   // host:port that accepts a connection
	Command []string // that exits 0
}

// IsSet reports whether there is a check.
func (c Check) IsSet() bool { return c.HTTP != "" || c.TCP != "" || len(c.Command) > 0 }

// String returns a description of the check.
func (c Check) String() string {
	switch {
	case c.HTTP != "":
		return "GET " + c.HTTP
	case c.TCP != "":
		return "connect to " + c.TCP
	default:
		return strings.Join(c.Command, " ")
	}
}

// Ready holds when a started program is ready: when the check passes, or without a
// check after it has run for After.
type Ready struct {
	Check
	After   time.Duration
	Timeout time.Duration // from the start until ready
}

// Health holds when a running program is healthy. Without a check it always is.
type Health struct {
	Check
	Interval time.Duration
	Timeout  time.Duration // of one check
	Failures int           // failed checks in a row that make it unhealthy
}

// Hooks holds the commands of the verbs of the same names; empty for none.
type Hooks struct {
	Install, Uninstall, Upgrade []string
}

// Limits holds the default limits of the program; 0 means none.
type Limits struct {
	CPU    float64 // cores
	Memory yamlfile.Size
	PIDs   int
}

// Log limits the output that is kept to MaxSize × (Keep + 1) bytes.
type Log struct {
	MaxSize yamlfile.Size
	Keep    int
}

// Default returns a service with the default of each key, without a command.
func Default() Service {
	return Service{
		WorkingDir: ".",
		Stop:       Stop{Signal: syscall.SIGTERM, Timeout: 10 * time.Second},
		Ready:      Ready{After: time.Second, Timeout: 30 * time.Second},
		Health:     Health{Interval: 10 * time.Second, Timeout: 2 * time.Second, Failures: 3},
		Log:        Log{MaxSize: 10 * yamlfile.MiB, Keep: 3},
	}
}

// verbMargin is the time of a verb besides waiting for the program.
const verbMargin = 10 * time.Second

// MaxTimeout is the longest sum of the start and stop timeouts: one verb does both
// (SPEC 2).
const MaxTimeout = time.Hour - verbMargin

// VerbTimeout returns the timeout that the package's config.json needs (AP-08).
func (s Service) VerbTimeout() time.Duration {
	return max(time.Minute, s.Ready.Timeout+s.Stop.Timeout+verbMargin)
}
