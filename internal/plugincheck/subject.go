package plugincheck

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/heartbeat"
	"pluginsupervisor/internal/install"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/logfile"
	"pluginsupervisor/internal/native"
	"pluginsupervisor/internal/pause"
	"pluginsupervisor/internal/pkgcheck"
	"pluginsupervisor/internal/platform"
	"pluginsupervisor/internal/process"
	"pluginsupervisor/internal/procfs"
	"pluginsupervisor/internal/registry"
	"pluginsupervisor/internal/service"
	"pluginsupervisor/internal/verb"
	"pluginsupervisor/plugin"
)

// poll is the pause between two observations of the plugin.
const poll = 100 * time.Millisecond

// proveFor is how long a new version must run before an upgrade counts.
const proveFor = time.Second

// subject is the plugin that is checked, and the temporary host that it is on.
type subject struct {
	source    string
	root      string // BASE of the host
	archive   string // the package file
	subreaper bool

	opened       *os.File          // the package; pkg reads from it
	pkg          *pkgcheck.Package // nil: not acceptable
	plugin       plugin.Plugin     // as installed; no name: it is not
	answers      bool              // --status can be believed: rule status-before passed
	inapplicable map[string]bool   // rules that are not about plugins of this type

	installer *install.Installer
	registry  *registry.Registry
	tracker   *process.Tracker
	runner    *process.Runner
	manager   *native.Manager

	stopBackground context.CancelFunc
	background     sync.WaitGroup

	mu       sync.Mutex
	lastExit plugin.Exit // of the plugin
}

func newSubject(o Options) (s *subject, err error) {
	source, err := filepath.Abs(o.Source)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(source); err != nil {
		return nil, err
	}
	root, err := os.MkdirTemp("", "plugin-check-")
	if err != nil {
		return nil, err
	}
	s = &subject{source: source, root: root, archive: source, subreaper: o.Subreaper, inapplicable: map[string]bool{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(root))
		}
	}()
	if s.root, err = filepath.EvalSymlinks(root); err != nil { // the kernel shows processes without symbolic links
		return nil, err
	}
	if err := os.Chmod(s.root, 0o755); err != nil { // a program may run as another user
		return nil, err
	}
	s.installer, err = install.New(install.Config{Root: s.root, OS: platform.LocalOS(), Arch: platform.LocalArch()})
	if err != nil {
		return nil, err
	}
	s.tracker, err = process.NewTracker(process.TrackerOptions{
		Plugins: layout.Plugins(s.root),
		Output:  func(name string) string { return logfile.Tail(layout.Log(s.root, name), 4<<10) },
	})
	if err != nil {
		return nil, err
	}
	if o.Subreaper {
		if err := s.tracker.Subreap(); err != nil {
			return nil, errors.Join(err, s.tracker.Close())
		}
	}
	s.runner = process.NewRunner(process.Options{Tracker: s.tracker})
	s.registry = registry.New(registry.Options{Root: s.root})
	s.manager = native.New(native.Options{
		Root: s.root, Runner: s.runner, Registry: s.registry, Tracker: s.tracker, AllowDowngrade: true, Prove: proveFor,
		Packages: packages{s.installer}, Heartbeats: heartbeat.New(s.root), LocalOS: platform.LocalOS(), LocalArch: platform.LocalArch(),
	})
	ctx, cancel := context.WithCancel(context.Background())
	s.stopBackground = cancel
	s.background.Go(func() { _ = s.manager.Follow(ctx, s.noteExit) }) // without it, causes of exits are missing in findings
	return s, nil
}

// packages takes packages from files, for upgrades.
type packages struct{ installer *install.Installer }

// Stage implements native.Packages.
func (p packages) Stage(ctx context.Context, c plugin.Change) (*install.Staged, error) {
	return p.installer.Stage(ctx, install.Request{Source: c.Package, Name: c.Name, Version: c.Version})
}

// Trusts implements native.Packages.
func (p packages) Trusts(ctx context.Context, name, version string) error {
	return p.installer.Trusts(ctx, name, version)
}

// boundLogs bounds the log while the plugin runs, as a supervisor does (AP-07).
func (s *subject) boundLogs() {
	ctx, cancel := context.WithCancel(context.Background())
	stop := s.stopBackground
	s.stopBackground = func() { cancel(); stop() }
	bounds := service.Default().Log
	if s.pkg.Service != nil {
		bounds = s.pkg.Service.Log
	}
	keeper := &logfile.Keeper{
		Folder: layout.Logs(s.root), Limit: logfile.Limit{MaxSize: int64(bounds.MaxSize), Keep: bounds.Keep}, Problem: func(string, error) {},
	}
	s.background.Go(func() { keeper.Run(ctx) })
}

func (s *subject) noteExit(e plugin.Exit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastExit = e
}

// explainExit says how the plugin exited last, and what it printed before.
func (s *subject) explainExit() string {
	s.mu.Lock()
	e := s.lastExit
	s.mu.Unlock()
	text := ""
	if e.CauseKnown {
		text = ": " + e.Cause()
	}
	return text + s.printed(logfile.Tail(layout.Log(s.root, s.plugin.Name), 4<<10))
}

// printed returns the last line of an output as the end of a sentence, "" for
// none.
func (s *subject) printed(output string) string {
	lines := strings.Split(strings.TrimSpace(output), "\n")
	last := strings.TrimSpace(lines[len(lines)-1])
	if last == "" {
		return ""
	}
	return fmt.Sprintf("; it printed last: %s", plugin.TruncateText(s.short(last), 200))
}

// short returns a text with paths as the author of the plugin knows them.
func (s *subject) short(text string) string {
	return strings.ReplaceAll(text, s.dir(), "$PLUGIN_DIR")
}

// dir returns the folder of the installed version.
func (s *subject) dir() string { return layout.Version(s.root, s.plugin.Name, s.plugin.Version) }

// run runs a verb as a supervisor does.
func (s *subject) run(ctx context.Context, v plugin.Verb) process.Result {
	if v.MayLeaveDaemon() {
		s.noteExit(plugin.Exit{}) // of an earlier run
	}
	return s.manager.Run(ctx, native.Run{Plugin: s.plugin, Args: []string{string(v)}})
}

// status runs --status. The error says that the host could not run it.
func (s *subject) status(ctx context.Context) (plugin.Probe, error) {
	return answered(ctx, s.manager.Check(ctx, s.plugin))
}

// confirm runs --status as a supervisor does after a start: again for some
// seconds, as long as the plugin has a process.
func (s *subject) confirm(ctx context.Context) (plugin.Probe, error) {
	return answered(ctx, s.manager.ConfirmStart(ctx, s.plugin))
}

func answered(ctx context.Context, p plugin.Probe) (plugin.Probe, error) {
	if p.Status == plugin.StatusUnknown {
		return p, verb.Unanswered(ctx, p)
	}
	return p, nil
}

// processes returns what runs of the plugin, the oldest first: also what exited
// from the tracker's view and came back, or cleared its environment.
func (s *subject) processes(ctx context.Context) []plugin.Process {
	seen := s.manager.Adopt(ctx, []plugin.WatchTarget{{Plugin: s.plugin, IncludeExternal: true}})
	if len(seen) == 0 { // ctx has ended
		return nil
	}
	return seen[0].Processes
}

// daemons returns the processes of the plugin whose parent is none of them. What
// a daemon runs for a moment is not among them.
func (s *subject) daemons(ctx context.Context) (roots []plugin.Process) {
	all := s.processes(ctx)
	own := map[int]bool{}
	for _, p := range all {
		own[p.PID] = true
	}
	for _, p := range all {
		if stat, err := procfs.ReadStat(p.PID); err == nil && !own[stat.Parent] {
			roots = append(roots, p)
		}
	}
	return roots
}

// waitDaemons waits until the plugin has at most so many daemons, and returns
// those that it has then, or after the time.
func (s *subject) waitDaemons(ctx context.Context, most int, within time.Duration) []plugin.Process {
	for over := time.Now().Add(within); ; {
		ds := s.daemons(ctx)
		if len(ds) <= most || time.Now().After(over) || pause.Sleep(ctx, poll) != nil {
			return ds
		}
	}
}

// killAll kills what runs of the plugin.
func (s *subject) killAll(ctx context.Context) error {
	if len(s.processes(ctx)) == 0 {
		return nil
	}
	return s.tracker.KillPlugin(ctx, s.plugin.Name)
}

// ensureStopped brings the plugin to a stop, whatever it does.
func (s *subject) ensureStopped(ctx context.Context) error {
	if len(s.processes(ctx)) > 0 {
		_ = s.run(ctx, plugin.VerbStop) // rule stop is about that
		s.waitDaemons(ctx, 0, native.DefaultGrace)
	}
	return s.killAll(ctx)
}

// isRunning reports whether the plugin runs: by --status where that can be
// believed, else by its processes. again asks --status as after a start.
func (s *subject) isRunning(ctx context.Context, again bool) (running bool, cause string, err error) {
	if !s.answers {
		return len(s.processes(ctx)) > 0, "no process of it runs", nil
	}
	ask := s.status
	if again {
		ask = s.confirm
	}
	probe, err := ask(ctx)
	return probe.Status == plugin.StatusRunning, probe.Cause, err
}

// ensureRunning makes the plugin run. It returns a failed verdict when it does not.
func (s *subject) ensureRunning(ctx context.Context) (failed *verdict, err error) {
	switch running, _, err := s.isRunning(ctx, false); {
	case err != nil:
		return nil, err
	case running && len(s.processes(ctx)) > 0:
		return nil, nil
	}
	_ = s.run(ctx, plugin.VerbStop) // removes what a killed daemon left, where a plugin needs that
	if err := s.killAll(ctx); err != nil {
		return nil, err
	}
	r := s.run(ctx, plugin.VerbStart)
	running, cause, err := s.isRunning(ctx, true)
	if err != nil || running {
		return nil, err
	}
	if r.Err != nil {
		cause = r.Err.Error()
	}
	v, _ := fail("it can be started again after it was stopped", "it does not run after another --start: "+cause+s.explainExit(),
		"remove in --stop, or ignore in --start, what an earlier run left")
	return &v, nil
}

// describe names processes with their command lines.
func (s *subject) describe(ps ...plugin.Process) string {
	const most = 3
	var texts []string
	for i, p := range ps {
		if i == most {
			texts = append(texts, fmt.Sprintf("%d more", len(ps)-most))
			break
		}
		text := fmt.Sprintf("process %d", p.PID)
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.PID))
		if words := string(bytes.ReplaceAll(bytes.TrimRight(b, "\x00"), []byte{0}, []byte(" "))); err == nil && words != "" {
			text += " (" + plugin.TruncateText(strings.ReplaceAll(words, s.dir()+"/", ""), 100) + ")"
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, ", ")
}

// stopWithin is how long --stop may take at the end of the check, and
// leaveWithin is the bound of all that is done then.
const (
	stopWithin  = 10 * time.Second
	leaveWithin = time.Minute
)

// close ends everything that the check began.
func (s *subject) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, leaveWithin)
	defer cancel()
	var failed []error
	if s.plugin.Name != "" {
		if len(s.processes(ctx)) > 0 { // it may have started what cannot be found: asked before it is killed
			s.manager.Run(ctx, native.Run{Plugin: s.plugin, Args: []string{string(plugin.VerbStop)}, Timeout: min(stopWithin, verb.Deadline(s.plugin))})
		}
		failed = append(failed, s.killAll(ctx))
	}
	failed = append(failed, s.runner.Drain(ctx))
	if s.subreaper {
		failed = append(failed, killChildren(ctx))
	}
	s.stopBackground()
	s.background.Wait()
	failed = append(failed, s.tracker.Close())
	s.installer.Close()
	if s.opened != nil {
		failed = append(failed, s.opened.Close())
	}
	if err := os.RemoveAll(s.root); err != nil {
		failed = append(failed, fmt.Errorf("remove the temporary root: %w", err))
	}
	return errors.Join(failed...)
}

// killChildren kills the children of this process, and theirs, which become
// children then.
func killChildren(ctx context.Context) error {
	for {
		left := 0
		pids, err := procfs.PIDs()
		if err != nil {
			return err
		}
		for _, pid := range pids {
			if isLiveChild(pid) {
				left++
				killChild(pid)
			}
		}
		if left == 0 {
			return nil
		}
		if err := pause.Sleep(ctx, poll); err != nil {
			return fmt.Errorf("%d processes of the plugin cannot be killed: %w", left, err)
		}
	}
}

func isLiveChild(pid int) bool {
	stat, err := procfs.ReadStat(pid)
	return err == nil && stat.Parent == os.Getpid() && stat.Live()
}

// killChild kills a child. The pid may be that of another process by now, unless
// it still is a child when its pidfd is open.
func killChild(pid int) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	if isLiveChild(pid) {
		_ = unix.PidfdSendSignal(fd, syscall.SIGKILL, nil, 0)
	}
}
