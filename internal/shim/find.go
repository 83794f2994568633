package shim

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/procfs"
	"pluginsupervisor/internal/service"
	"pluginsupervisor/plugin"
)

// checkVariable marks the commands of checks and hooks, which have PLUGIN_DIR, too, but
// do not belong to the program.
const checkVariable = "PLUGIN_CHECK"

// proc is a process at the time of a scan.
type proc struct {
	procfs.Stat
	id plugin.Process
}

// run holds the live processes of the program.
type run struct {
	main *proc  // the program; nil if it does not run
	tree []proc // all processes of the program, the oldest first
}

// findMain returns the process of the program, nil if it does not run or is exiting, as
// after kill -9. It reads only the recorded process if that is live.
func (s *shim) findMain() (*proc, error) {
	if recorded, err := service.ReadRun(s.dir); err == nil {
		boot, err := procfs.BootID()
		if err != nil {
			return nil, err
		}
		if stat, err := procfs.ReadStat(recorded.PID); err == nil && stat.Live() && recorded.BootID == boot && recorded.StartTicks == stat.Born &&
			!procfs.IsExiting(recorded.PID) {
			return &proc{stat, recorded}, nil
		}
	}
	r, err := s.findProcesses()
	return r.main, err
}

// findProcesses returns the live processes of the program.
func (s *shim) findProcesses() (run, error) {
	boot, err := procfs.BootID()
	if err != nil {
		return run{}, err
	}
	pids, err := procfs.PIDs()
	if err != nil {
		return run{}, err
	}
	all := make(map[int]proc, len(pids))
	for _, pid := range pids {
		if stat, err := procfs.ReadStat(pid); err == nil && stat.Live() {
			all[pid] = proc{stat, plugin.Process{PID: pid, StartTicks: stat.Born, BootID: boot}}
		}
	}
	var r run
	recorded, err := service.ReadRun(s.dir)
	if main, ok := all[recorded.PID]; ok && err == nil && main.id == recorded && !procfs.IsExiting(recorded.PID) {
		r.main = &main
	}
	own := r.excludedProcesses(all)
	mine := map[int]bool{}
	for pid, p := range all {
		if !own[pid] {
			mine[pid] = r.main != nil && (p.Session == recorded.PID || p.Group == recorded.PID) || s.hasPluginDir(pid)
		}
	}
	if r.main == nil && recorded.BootID == boot {
		addSession(all, own, mine, recorded.PID)
	}
	addDescendants(all, own, mine)
	for pid, is := range mine {
		if is {
			r.tree = append(r.tree, all[pid])
		}
	}
	slices.SortFunc(r.tree, compareAge)
	if r.main == nil {
		// Processes left in the session of a killed program are its helpers, even if
		// they execute the same file.
		p, found := all[recorded.PID]
		helpers := recorded.BootID == boot && (!found || p.id == recorded) // it has exited or is exiting
		r.main = s.findProgram(r.tree, func(p proc) bool { return !helpers || p.Session != recorded.PID && p.Group != recorded.PID })
	}
	return r, nil
}

// findProgram returns the oldest candidate that executes the program and is not exiting.
func (s *shim) findProgram(tree []proc, isCandidate func(proc) bool) *proc {
	for _, p := range tree {
		if isCandidate(p) && s.isProgram(p.id.PID) && !procfs.IsExiting(p.id.PID) {
			return &p
		}
	}
	return nil
}

func compareAge(a, b proc) int {
	return cmp.Or(cmp.Compare(a.Born, b.Born), cmp.Compare(a.id.PID, b.id.PID))
}

// excludedProcesses returns the processes that never get a signal: this one, its
// ancestors, and those of its session, which the program has left. When the program
// itself runs this verb, only this process is excluded.
func (r run) excludedProcesses(all map[int]proc) map[int]bool {
	self := os.Getpid()
	own := map[int]bool{self: true}
	if r.main != nil && all[self].Session == r.main.id.PID {
		return own
	}
	for pid, p := range all {
		if p.Session == all[self].Session {
			own[pid] = true
		}
	}
	for p, ok := all[self]; ok; p, ok = all[p.Parent] {
		own[p.id.PID] = true
	}
	return own
}

// addSession adds the session of a recorded process that is gone. The id may be in use by
// another session now: members count if one of them has our PLUGIN_DIR.
func addSession(all map[int]proc, own, mine map[int]bool, session int) {
	if _, reused := all[session]; reused {
		return
	}
	var members []int
	ours := false
	for pid, p := range all {
		if p.Session == session && !own[pid] {
			members = append(members, pid)
			ours = ours || mine[pid]
		}
	}
	for _, pid := range members {
		mine[pid] = mine[pid] || ours
	}
}

// addDescendants adds the descendants of our processes.
func addDescendants(all map[int]proc, own, mine map[int]bool) {
	for grown := true; grown; {
		grown = false
		for pid, p := range all {
			if !mine[pid] && !own[pid] && mine[p.Parent] {
				mine[pid], grown = true, true
			}
		}
	}
}

// hasPluginDir reports whether a process was started with our PLUGIN_DIR and is neither a
// verb, nor a check or hook.
func (s *shim) hasPluginDir(pid int) bool {
	dir, ok := procfs.Variable(pid, plugin.EnvDir)
	if !ok || filepath.Clean(dir) != s.dir && !sameFolder(dir, s.dir) {
		return false
	}
	if _, isCheck := procfs.Variable(pid, checkVariable); isCheck {
		return false
	}
	return !isFile(pid, s.self) || isLaunch(pid)
}

// sameFolder reports whether two paths are the same folder.
func sameFolder(a, b string) bool {
	if filepath.Base(a) != filepath.Base(b) {
		return false
	}
	i, err := os.Stat(a)
	if err != nil {
		return false
	}
	j, err := os.Stat(b)
	return err == nil && os.SameFile(i, j)
}

// isProgram reports whether a process executes the program, or will.
func (s *shim) isProgram(pid int) bool {
	path := s.path(s.service.Command[0])
	if isFile(pid, path) || isFile(pid, s.self) && isLaunch(pid) {
		return true
	}
	args := readArguments(pid) // of a script, the interpreter runs
	return len(args) > 1 && slices.Contains(args[1:min(len(args), 3)], path)
}

func isLaunch(pid int) bool {
	args := readArguments(pid)
	return len(args) > 1 && args[1] == launchWord
}

// isFile reports whether a process executes a file, even if the file was replaced since.
func isFile(pid int, path string) bool {
	exe := fmt.Sprintf("/proc/%d/exe", pid)
	if target, err := os.Readlink(exe); err == nil && strings.TrimSuffix(target, " (deleted)") == path {
		return true
	}
	running, err := os.Stat(exe)
	if err != nil {
		return false
	}
	file, err := os.Stat(path)
	return err == nil && os.SameFile(running, file)
}

func readArguments(pid int) []string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return nil
	}
	var args []string
	for arg := range bytes.SplitSeq(b, []byte{0}) {
		args = append(args, string(arg))
	}
	return args
}

// isLive reports whether this process still runs, not another one with its pid.
func (p proc) isLive() bool {
	stat, err := procfs.ReadStat(p.id.PID)
	return err == nil && stat.Born == p.Born && stat.Live()
}

// sendSignal sends a signal to this process, never to another one with its pid.
func (p proc) sendSignal(sig syscall.Signal) {
	fd, err := unix.PidfdOpen(p.id.PID, 0)
	if err != nil { // gone, or a kernel before 5.3
		if err == unix.ENOSYS && p.isLive() {
			_ = syscall.Kill(p.id.PID, sig)
		}
		return
	}
	defer unix.Close(fd)
	if p.isLive() {
		_ = unix.PidfdSendSignal(fd, sig, nil, 0)
	}
}
