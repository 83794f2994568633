// Package shim implements the plugin contract for the program of a service.yaml
// (SPEC 16, AP-01 to AP-04). It is the implementation of cmd/plugin-shim, the executable
// of such a package. Each verb exits; no process of the shim runs beside the program.
//
// `--start` runs its own executable again (launch.go). That process starts a new session,
// records itself in .service/run.json and becomes the program by execve, so that the
// record has the pid and start time of the program before its first instruction. If the
// record is missing or stale, as on a full disk or when the program put itself in the
// background, the process is found by its executable and its PLUGIN_DIR (find.go).
//
// The processes of a run are those of its session and process group, those with its
// PLUGIN_DIR, and their descendants; `--stop` stops all of them and no others (stop.go).
// A pid alone is never trusted: each process is opened by pidfd and its start time is
// compared.
package shim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"pluginsupervisor/internal/inherit"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/lock"
	"pluginsupervisor/internal/logfile"
	"pluginsupervisor/internal/record"
	"pluginsupervisor/internal/service"
	"pluginsupervisor/plugin"
)

// The exit statuses of a verb; a hook's own is passed on.
const (
	exitOK     = 0
	exitFailed = 1 // also when the program is not running
	exitUsage  = 2
)

const usage = `usage: plugin-shim --start | --stop | --restart | --status | --install | --uninstall | --upgrade

Runs the program of service.yaml in the folder PLUGIN_DIR, or without that
variable in the folder of this executable.`

// shim runs one verb.
type shim struct {
	dir      string // the version folder
	self     string // path of this executable
	service  service.Service
	account  *service.Account
	deadline time.Time // of the verb
	out, err *os.File
}

// Main runs the verb and returns the exit status.
func Main(args []string, stdout, stderr *os.File) int {
	if len(args) > 0 && (args[0] == launchWord || args[0] == asWord) {
		return becomeProgram(args)
	}
	if len(args) == 1 && (args[0] == "--help" || args[0] == "-h") {
		fmt.Fprintln(stdout, usage)
		return exitOK
	}
	var verb func(*shim, context.Context) error
	if len(args) > 0 {
		verb = verbs()[plugin.Verb(args[0])]
	}
	if verb == nil {
		fmt.Fprintln(stderr, usage)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer stop()
	s, err := newShim(stdout, stderr)
	if err == nil {
		ctx, cancel := context.WithDeadline(ctx, s.deadline)
		defer cancel()
		err = verb(s, ctx)
		s.boundLog()
	}
	if hook := (*hookError)(nil); errors.As(err, &hook) {
		return hook.code
	}
	if err != nil {
		writeLines(stderr, err.Error())
		return exitFailed
	}
	return exitOK
}

// writeLines writes each line with the prefix "plugin-shim: ".
func writeLines(w io.Writer, text string) {
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		fmt.Fprintln(w, "plugin-shim: "+line)
	}
}

// verbs returns the function of each verb (AP-04).
func verbs() map[plugin.Verb]func(*shim, context.Context) error {
	return map[plugin.Verb]func(*shim, context.Context) error{
		plugin.VerbStart: (*shim).startProgram, plugin.VerbStop: (*shim).stopProgram, plugin.VerbRestart: (*shim).restartProgram, plugin.VerbStatus: (*shim).checkStatus,
		plugin.VerbInstall:   func(s *shim, ctx context.Context) error { return s.runHook(ctx, s.service.Hooks.Install) },
		plugin.VerbUninstall: func(s *shim, ctx context.Context) error { return s.runHook(ctx, s.service.Hooks.Uninstall) },
		plugin.VerbUpgrade:   func(s *shim, ctx context.Context) error { return s.runHook(ctx, s.service.Hooks.Upgrade) },
	}
}

// reportReserve is the part of a verb's timeout that is reserved for its result.
const reportReserve = time.Second

func newShim(stdout, stderr *os.File) (*shim, error) {
	began := time.Now()
	if err := inherit.Drop(); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own executable: %w", err)
	}
	s := &shim{self: self, out: stdout, err: stderr}
	if s.dir, err = versionFolder(self); err != nil {
		return nil, err
	}
	if s.service, err = service.Read(s.dir); err != nil {
		return nil, err
	}
	timeout := plugin.DefaultTimeout
	if c, err := record.ReadPackageConfig(s.dir); err == nil {
		timeout = plugin.ParseTimeout(c.Timeout)
	}
	s.deadline = began.Add(timeout - min(reportReserve, timeout/10))
	return s, nil
}

// versionFolder returns the folder with the service.yaml.
func versionFolder(self string) (string, error) {
	if dir := os.Getenv(plugin.EnvDir); dir != "" {
		if !filepath.IsAbs(dir) {
			return "", fmt.Errorf("PLUGIN_DIR is %q, but must be an absolute path", dir)
		}
		return filepath.Clean(dir), nil
	}
	return filepath.Dir(self), nil
}

// loadAccount sets the account of the program.
func (s *shim) loadAccount() (err error) {
	if s.account, err = s.service.Account(); err != nil {
		return err
	}
	if err := s.account.CheckCaller(); err != nil {
		return s.service.Mistake("user", err.Error())
	}
	return nil
}

// lockFolder takes the lock of the version folder, which starting and stopping need. If its
// file cannot be created, as on a full disk, it locks the folder.
func (s *shim) lockFolder(ctx context.Context) (release func(), err error) {
	held, _, err := lock.Take(ctx, layout.ServiceLock(s.dir), s.dir, true, lock.Hooks{})
	switch {
	case err == nil:
		return held.Release, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("another start or stop of the program did not finish in time: %w", err)
	default:
		return nil, err
	}
}

// buildEnvironment returns the environment of the program and its checks.
func (s *shim) buildEnvironment() []string {
	env := os.Environ()
	set := func(name, value string) {
		env = slices.DeleteFunc(env, func(kv string) bool { return strings.HasPrefix(kv, name+"=") })
		env = append(env, name+"="+value)
	}
	if a := s.account; a != nil && a.User != nil {
		set("HOME", a.User.HomeDir)
		set("USER", a.User.Username)
		set("LOGNAME", a.User.Username)
	}
	for name, value := range s.service.Environment {
		set(name, value)
	}
	set(plugin.EnvDir, s.dir)
	if os.Getenv(plugin.EnvPreviousDir) == "" {
		set(plugin.EnvPreviousDir, "")
	}
	return env
}

// path returns the path of a program of the service.
func (s *shim) path(word string) string {
	if filepath.IsAbs(word) {
		return filepath.Clean(word)
	}
	return filepath.Join(s.dir, word)
}

// boundLog removes the oldest part of the program's log when it is too large.
func (s *shim) boundLog() {
	f, err := os.OpenFile(layout.ServiceLog(s.dir), os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer f.Close()
	if _, err := s.logLimit().Bound(f); err != nil {
		writeLines(s.err, "cannot limit the size of the log: "+err.Error())
	}
}

func (s *shim) logLimit() logfile.Limit {
	return logfile.Limit{MaxSize: int64(s.service.Log.MaxSize), Keep: s.service.Log.Keep}
}
