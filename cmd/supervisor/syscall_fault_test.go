package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/admin"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/testenv"
	"pluginsupervisor/internal/testenv/callfault"
	"pluginsupervisor/plugin"
)

// callFault is a system call of the supervisor that fails for a while.
type callFault struct {
	name   string
	call   uintptr
	errnos []syscall.Errno
	// written marks calls that write to a descriptor: they fail only for files of
	// the root.
	written bool
	// rare says why the call may not occur during the fault.
	rare string
}

// callFaults holds the system calls of the supervisor and the errors that each may
// return. Calls that the Go runtime itself needs are left out: futex, mmap, madvise,
// epoll_pwait. clone fails for processes, not for threads; writes fail by file, as the
// runtime wakes itself by one.
var callFaults = [...][]callFault{
	{
		{name: "clone3", call: unix.SYS_CLONE3, errnos: []syscall.Errno{syscall.EAGAIN, syscall.ENOMEM}, rare: "plugins have no cgroup"},
		{name: "clone", call: unix.SYS_CLONE, errnos: []syscall.Errno{syscall.EAGAIN, syscall.ENOMEM}, rare: "plugins have a cgroup"},
		{name: "pidfd_open", call: unix.SYS_PIDFD_OPEN, errnos: []syscall.Errno{syscall.EMFILE, syscall.ENOMEM}},
		{name: "epoll_ctl", call: unix.SYS_EPOLL_CTL, errnos: []syscall.Errno{syscall.ENOMEM, syscall.ENOSPC}},
	},
	{
		{name: "openat", call: unix.SYS_OPENAT, errnos: []syscall.Errno{syscall.EMFILE, syscall.ENOMEM, syscall.ENOSPC, syscall.EIO, syscall.EROFS}},
		{name: "getdents64", call: unix.SYS_GETDENTS64, errnos: []syscall.Errno{syscall.EIO, syscall.ENOMEM}, rare: "few folders are read"},
	},
	{
		{name: "write", call: unix.SYS_WRITE, errnos: []syscall.Errno{syscall.ENOSPC, syscall.EIO}, written: true},
		{name: "pwrite64", call: unix.SYS_PWRITE64, errnos: []syscall.Errno{syscall.ENOSPC, syscall.EIO}, written: true},
		{name: "fdatasync", call: unix.SYS_FDATASYNC, errnos: []syscall.Errno{syscall.EIO, syscall.ENOSPC}},
		{name: "fsync", call: unix.SYS_FSYNC, errnos: []syscall.Errno{syscall.EIO, syscall.ENOSPC}},
		{name: "ftruncate", call: unix.SYS_FTRUNCATE, errnos: []syscall.Errno{syscall.EIO}, rare: "few files are cut"},
		{name: "execve", call: unix.SYS_EXECVE, errnos: []syscall.Errno{syscall.ENOMEM, syscall.EMFILE, syscall.ETXTBSY, syscall.EIO}},
	},
	{
		{name: "renameat", call: unix.SYS_RENAMEAT, errnos: []syscall.Errno{syscall.EROFS, syscall.ENOSPC, syscall.EIO}},
		{name: "renameat2", call: unix.SYS_RENAMEAT2, errnos: []syscall.Errno{syscall.EROFS, syscall.EIO}, rare: "only packages are exchanged by it"},
		{name: "mkdirat", call: unix.SYS_MKDIRAT, errnos: []syscall.Errno{syscall.ENOSPC, syscall.EROFS}, rare: "most folders exist"},
		{name: "inotify_add_watch", call: unix.SYS_INOTIFY_ADD_WATCH, errnos: []syscall.Errno{syscall.ENOSPC, syscall.ENOMEM}},
		{name: "inotify_init1", call: unix.SYS_INOTIFY_INIT1, errnos: []syscall.Errno{syscall.EMFILE}, rare: "queues are made at the start"},
		{name: "socket", call: unix.SYS_SOCKET, errnos: []syscall.Errno{syscall.EMFILE, syscall.ENOMEM}, rare: "reports wait for their next try"},
		{name: "flock", call: unix.SYS_FLOCK, errnos: []syscall.Errno{syscall.ENOLCK, syscall.EAGAIN}},
		{name: "accept4", call: unix.SYS_ACCEPT4, errnos: []syscall.Errno{syscall.EMFILE, syscall.ENOMEM}},
		{name: "pipe2", call: unix.SYS_PIPE2, errnos: []syscall.Errno{syscall.EMFILE}, rare: "it is made at the start"},
	},
}

// listCalls returns the numbers of all system calls in the table.
func listCalls() (all []uintptr) {
	for _, faults := range callFaults {
		for _, f := range faults {
			all = append(all, f.call)
		}
	}
	return all
}

// matches returns a function that reports whether a call fails, nil for all calls.
func (h *faultyHost) matches(f callFault) func(pid int, args [6]uint64) bool {
	switch {
	case f.call == unix.SYS_CLONE:
		return func(_ int, args [6]uint64) bool { return args[0]&unix.CLONE_VFORK != 0 }
	case f.call == unix.SYS_CLONE3:
		return func(pid int, args [6]uint64) bool { return !makesThread(pid, uintptr(args[0])) }
	case f.written:
		return func(pid int, args [6]uint64) bool {
			to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, args[0]))
			return strings.HasPrefix(to, h.root+"/")
		}
	default:
		return nil
	}
}

// makesThread reports whether a clone3, by its arguments in the memory of the
// process, makes a thread, as programs with a C library do (the race detector's).
func makesThread(pid int, at uintptr) bool {
	flags := make([]byte, 8)
	n, err := unix.ProcessVMReadv(pid,
		[]unix.Iovec{{Base: &flags[0], Len: uint64(len(flags))}}, []unix.RemoteIovec{{Base: at, Len: len(flags)}}, 0)
	return err != nil || n != len(flags) || binary.NativeEndian.Uint64(flags)&unix.CLONE_THREAD != 0
}

// EV-24: while a system call fails for a second, no other plugin is touched, accepted
// commands are carried out, everything recovers, and a supervisor that is killed and
// restarted has the same state.
func TestSystemCallFaults(t *testing.T) {
	for i, faults := range callFaults {
		t.Run(faults[0].name, func(t *testing.T) {
			t.Parallel()
			h := newFaultyHost(t)
			rows := 0
			for _, f := range faults {
				if !testenv.All() { // one error of each call, to keep the test short
					f.errnos = f.errnos[:1]
				}
				for _, errno := range f.errnos {
					rows++
					h.testFault(f, errno)
				}
			}
			t.Logf("group %d: %d rows, %d failed calls", i+1, rows, h.failed)
		})
	}
}

// faultyHost is a supervisor with plugins whose system calls fail.
type faultyHost struct {
	*testing.T
	root   string
	run    *callfault.Program
	log    bytes.Buffer
	exited chan error
	client *admin.Client
	server *httptest.Server

	rows    int
	failed  int
	stopped bool   // the plugin stop is stopped
	version string // of the plugin change
}

// bystanders is the number of plugins that must not be touched; each row kills one of
// them.
const bystanders = 4

func newFaultyHost(t *testing.T) *faultyHost {
	work, err := os.MkdirTemp("/tmp", "sv")
	if err != nil {
		t.Fatal(err)
	}
	h := &faultyHost{T: t, root: filepath.Join(work, "root"), version: "1.0"}
	h.client = admin.Dial(filepath.Join(h.root, "supervisor", "supervisor.sock"))
	t.Cleanup(func() {
		killAll(work)
		_ = os.RemoveAll(work)
		if t.Failed() {
			t.Logf("log of the supervisor:\n%s", h.log.String())
		}
	})
	h.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) }))
	t.Cleanup(h.server.Close)
	names := []string{"stop", "change"}
	for i := range bystanders {
		names = append(names, h.bystanderName(i))
	}
	sample := filepath.Join(os.Getenv("TEST_BIN"), "examples", "hello")
	config, err := os.ReadFile(filepath.Join(sample, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, of := range append([]string{"change 2.0"}, names...) { // the last version of a name is recorded
		name, version, given := strings.Cut(of, " ")
		if !given {
			version = "1.0"
		}
		if err := installProgram(h.root, name, version, filepath.Join(sample, "hello"), config, ""); err != nil {
			t.Fatal(err)
		}
	}
	h.startSupervisor()
	h.waitForStatus("all run", 30*time.Second, func(s plugin.Snapshot) error { return h.checkPlugins(s, names...) })
	return h
}

func (h *faultyHost) bystanderName(i int) string { return fmt.Sprint("by", i%bystanders) }

func (h *faultyHost) startSupervisor() {
	h.Helper()
	cmd := exec.Command(filepath.Join(os.Getenv("TEST_BIN"), "supervisor"), "run", "--root", h.root)
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", "SUPERVISOR_FIRST_RUN_JITTER=0s", "SUPERVISOR_INTERVALS_SCAN=500ms",
		"SUPERVISOR_INTERVALS_PULL=700ms", "SUPERVISOR_AVOID_WINDOW=0s", "SUPERVISOR_RESTART_STAGGER=0s", "SUPERVISOR_RESTART_BACKOFF_INITIAL=100ms",
		"SUPERVISOR_RESTART_BACKOFF_MAX=1s", "SUPERVISOR_UPGRADE_PROVE=200ms", "SUPERVISOR_CONTROL_PLANE_URL="+h.server.URL)
	cmd.Stderr = &h.log
	run, err := callfault.Start(cmd, listCalls())
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		testenv.SkipWithout(h, testenv.SeccompNotify, err)
	case err != nil:
		h.Fatal(err)
	}
	h.run, h.exited = run, make(chan error, 1)
	go func(exited chan<- error) { exited <- cmd.Wait() }(h.exited)
}

// restartSupervisor kills the supervisor and starts it.
func (h *faultyHost) restartSupervisor() {
	if err := h.run.Cmd.Process.Kill(); err != nil {
		h.Fatal(err)
	}
	<-h.exited
	h.startSupervisor()
}

// checkRunning fails the test if the supervisor has exited.
func (h *faultyHost) checkRunning(when string) {
	h.Helper()
	select {
	case err := <-h.exited:
		h.Fatalf("%s: the supervisor exited: %v", when, err)
	default:
	}
}

// waitForStatus waits until check accepts the status.
func (h *faultyHost) waitForStatus(what string, within time.Duration, check func(plugin.Snapshot) error) {
	h.Helper()
	var err error
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		h.checkRunning(what)
		ctx, cancel := context.WithTimeout(h.Context(), 5*time.Second)
		var s plugin.Snapshot
		s, err = h.client.Status(ctx)
		cancel()
		if err == nil {
			err = check(s)
		}
		if err == nil {
			return
		}
	}
	h.Fatalf("%s: not within %v: %v", what, within, err)
}

// checkPlugins returns an error unless the plugins run, also by status.
func (h *faultyHost) checkPlugins(s plugin.Snapshot, names ...string) error {
	for _, name := range names {
		found := false
		for _, v := range s.Plugins {
			if v.Name != name {
				continue
			}
			found = true
			if pid := h.readPID(name, v.Version); v.State != plugin.StateRunning || pid == 0 {
				return fmt.Errorf("%s %s is %s (%s), pid %d", name, v.Version, v.State, v.Why, pid)
			}
		}
		if !found {
			return fmt.Errorf("%s is not in status", name)
		}
	}
	return nil
}

// readPID returns the pid of a plugin's daemon, 0 if none runs.
func (h *faultyHost) readPID(name, version string) int {
	b, _ := os.ReadFile(filepath.Join(layout.Version(h.root, name, version), "daemon.pid"))
	text, _, _ := strings.Cut(string(b), " ")
	pid, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || !isRunning(pid) {
		return 0
	}
	return pid
}

// testFault makes the call fail for a second. Meanwhile it kills a plugin and sends
// commands; then it checks the results.
func (h *faultyHost) testFault(f callFault, errno syscall.Errno) {
	h.Helper()
	row := fmt.Sprintf("%s fails (%v)", f.name, errno)
	victim := h.bystanderName(h.rows)
	h.rows++
	before := map[string]int{}
	for i := range bystanders {
		before[h.bystanderName(i)] = h.readPID(h.bystanderName(i), "1.0")
	}
	states := h.readStates()
	h.run.Begin(callfault.Fault{Call: f.call, Errno: errno, Matches: h.matches(f)})
	if err := syscall.Kill(before[victim], syscall.SIGKILL); err != nil {
		h.Fatalf("%s: kill %s: %v", row, victim, err)
	}
	stopDone := h.toggleStop()
	changeDone := h.toggleVersion()
	time.Sleep(time.Second)
	hits := h.run.End()
	h.failed += hits
	if hits == 0 && f.rare == "" {
		h.Errorf("%s: the call did not occur", row)
	}
	h.checkRunning(row)

	h.waitForStatus(row+": the killed plugin runs again", 30*time.Second, func(s plugin.Snapshot) error {
		if pid := h.readPID(victim, "1.0"); pid == before[victim] {
			return fmt.Errorf("pid %d", pid)
		}
		return h.checkPlugins(s, victim)
	})
	if !stopDone {
		h.retryCommand(row+": stop or start", h.toggleStop)
	}
	if !changeDone {
		h.retryCommand(row+": upgrade", h.toggleVersion)
	}
	h.waitForCommands(row)
	h.waitForNoProblem(row)
	for name, since := range h.readStates() {
		if name != victim && since != states[name] {
			h.Errorf("%s: state of %s since %s, before %s", row, name, since, states[name])
		}
	}
	h.restartSupervisor()
	h.waitForCommands(row + ", after kill -9")
	for i := range bystanders {
		name := h.bystanderName(i)
		if pid := h.readPID(name, "1.0"); name != victim && pid != before[name] {
			h.Errorf("%s: pid of %s was %d and is %d", row, name, before[name], pid)
		}
	}
}

// readStates returns the state of each bystander, with its time.
func (h *faultyHost) readStates() map[string]string {
	h.Helper()
	all := map[string]string{}
	h.waitForStatus("status", 10*time.Second, func(s plugin.Snapshot) error {
		for _, v := range s.Plugins {
			if strings.HasPrefix(v.Name, "by") {
				all[v.Name] = fmt.Sprintf("%v %v (%s), %d restarts, %d failures", v.State, v.Since, v.Why, v.Restarts, v.Failures)
			}
		}
		return nil
	})
	return all
}

// retryCommand sends a rejected command until it is accepted.
func (h *faultyHost) retryCommand(what string, send func() bool) {
	h.Helper()
	h.waitForStatus(what, 30*time.Second, func(plugin.Snapshot) error {
		if !send() {
			return errors.New("not accepted")
		}
		return nil
	})
}

// toggleStop stops the plugin stop, or starts it, and reports whether the command was
// accepted.
func (h *faultyHost) toggleStop() bool {
	command := admin.CommandStop
	if h.stopped {
		command = admin.CommandStart
	}
	ctx, cancel := context.WithTimeout(h.Context(), 5*time.Second)
	defer cancel()
	if _, err := h.client.SendCommand(ctx, command, "stop"); err != nil {
		return false
	}
	h.stopped = !h.stopped
	return true
}

// toggleVersion upgrades the plugin change to its other version, and reports whether
// the command was accepted.
func (h *faultyHost) toggleVersion() bool {
	other := map[string]string{"1.0": "2.0", "2.0": "1.0"}[h.version]
	ctx, cancel := context.WithTimeout(h.Context(), 5*time.Second)
	defer cancel()
	if _, err := h.client.RequestChange(ctx, plugin.Change{Kind: plugin.ChangeUpgrade, Name: "change", Version: other}); err != nil {
		return false
	}
	h.version = other
	return true
}

// waitForCommands waits until all commands are carried out. A change that has failed
// because of the fault is requested once more.
func (h *faultyHost) waitForCommands(row string) {
	h.Helper()
	again := false
	h.waitForStatus(row+": commands are carried out", 40*time.Second, func(s plugin.Snapshot) error {
		for _, v := range s.Plugins {
			switch {
			case v.Name == "stop" && h.stopped && (v.State != plugin.StateStopped || h.readPID("stop", "1.0") != 0):
				return fmt.Errorf("stop is %s (%s), pid %d", v.State, v.Why, h.readPID("stop", "1.0"))
			case v.Name == "stop" && !h.stopped:
				if err := h.checkPlugins(s, "stop"); err != nil {
					return err
				}
			case v.Name == "change" && v.Change != nil:
				return fmt.Errorf("change under way: %+v", *v.Change)
			case v.Name == "change" && v.Version != h.version:
				if !again && v.State == plugin.StateRunning {
					again = true
					h.version = v.Version
					h.toggleVersion()
				}
				return fmt.Errorf("change is %s %s (%s), want %s", v.Version, v.State, v.Why, h.version)
			}
		}
		names := []string{"change"}
		for i := range bystanders {
			names = append(names, h.bystanderName(i))
		}
		return h.checkPlugins(s, names...)
	})
}

// waitForNoProblem waits until status shows no problem and no pending report.
func (h *faultyHost) waitForNoProblem(row string) {
	h.Helper()
	h.waitForStatus(row+": no problem is left", 60*time.Second, func(s plugin.Snapshot) error {
		if len(s.Problems) > 0 || len(s.Damaged) > 0 || s.Counters.Defects > 0 || s.Reports.Pending > 0 || s.Reports.Events > 0 {
			return fmt.Errorf("%+v, %+v, %d defects, %+v", s.Problems, s.Damaged, s.Counters.Defects, s.Reports)
		}
		return nil
	})
}
