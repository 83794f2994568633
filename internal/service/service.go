// Package service is a package's service.yaml: how a program that knows nothing
// of the plugin contract is run as a plugin (SPEC 16). It parses and validates
// the file (parse.go), checks whether the program is ready and healthy
// (check.go), and knows what is kept about a run (run.go). It decides nothing.
package service

import (
	"strings"
	"syscall"
	"time"

	"pluginsupervisor/internal/yamlfile"
)

// Service is a service.yaml. Paths are relative to the package's folder, or
// absolute where they are programs of the host.
type Service struct {
	Command     []string // the program and its arguments; no shell
	Environment map[string]string
	User, Group string // "" for that of who starts it
	WorkingDir  string
	Stop        Stop
	Ready       Ready
	Health      Health
	Hooks       Hooks
	Limits      Limits
	Log         Log

	file  string         // what mistakes call the file
	lines map[string]int // where each key is
}

// Stop says how the program is asked to exit, and when it is killed.
type Stop struct {
	Signal  syscall.Signal
	Timeout time.Duration
}

// Check is one of its fields, or none.
type Check struct {
	HTTP    string   // a URL that answers 200 to 299
	TCP     string   // host:port that accepts a connection
	Command []string // that exits 0
}

// IsSet reports whether there is something to check.
func (c Check) IsSet() bool { return c.HTTP != "" || c.TCP != "" || len(c.Command) > 0 }

// String says what is checked.
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

// Ready says when a program that was started is ready: when the check passes, or
// without one when it has run for After.
type Ready struct {
	Check
	After   time.Duration
	Timeout time.Duration // for all of it
}

// Health says when a running program is healthy. Without a check it is.
type Health struct {
	Check
	Interval time.Duration
	Timeout  time.Duration // of one check
	Failures int           // so many failed checks in a row make it unhealthy
}

// Hooks are the commands of the verbs of the same names; empty for none.
type Hooks struct {
	Install, Uninstall, Upgrade []string
}

// Limits are the defaults of what the program may use; 0 means none.
type Limits struct {
	CPU    float64 // cores
	Memory yamlfile.Size
	PIDs   int
}

// Log bounds what the program prints: MaxSize × (Keep + 1) bytes.
type Log struct {
	MaxSize yamlfile.Size
	Keep    int
}

// Default returns the service in which nothing is set, which lacks a command.
func Default() Service {
	return Service{
		WorkingDir: ".",
		Stop:       Stop{Signal: syscall.SIGTERM, Timeout: 10 * time.Second},
		Ready:      Ready{After: time.Second, Timeout: 30 * time.Second},
		Health:     Health{Interval: 10 * time.Second, Timeout: 2 * time.Second, Failures: 3},
		Log:        Log{MaxSize: 10 * yamlfile.MiB, Keep: 3},
	}
}

// verbMargin is what a verb may take beside waiting for the program.
const verbMargin = 10 * time.Second

// MaxTimeout is the longest that starting and stopping may take together, which
// is what one verb may take (SPEC 2).
const MaxTimeout = time.Hour - verbMargin

// VerbTimeout returns the deadline that the package's config.json needs (AP-08).
func (s Service) VerbTimeout() time.Duration {
	return max(time.Minute, s.Ready.Timeout+s.Stop.Timeout+verbMargin)
}
