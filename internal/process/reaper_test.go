package process

import (
	"syscall"
	"testing"

	"pluginsupervisor/internal/procfs"
	"pluginsupervisor/plugin"
)

// EV-03: an exited command that is not reaped hides other children from the reaper for a short time
// only.
func TestReapBehindCommand(t *testing.T) {
	if !inOwnProcess(t) {
		return
	}
	for name, free := range map[string]func(t *testing.T, r *testbed, command int){
		"reaped soon": func(t *testing.T, r *testbed, command int) {
			var status syscall.WaitStatus
			if _, err := syscall.Wait4(command, &status, 0, nil); err != nil {
				t.Error(err)
			}
			(&commandScope{tracker: r.tracker}).markReaped(command)
		},
		"not reaped": func(*testing.T, *testbed, int) {},
	} {
		t.Run("EV-03 "+name, func(t *testing.T) {
			r := newTestbed(t, plugin.WatchPidfd)
			command := startWith(t, "A=b").Pid
			r.tracker.mu.Lock()
			r.tracker.commands[command]++
			r.tracker.mu.Unlock()
			kill := func(pid int) {
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
				eventually(t, "a zombie", func() bool {
					s, err := procfs.ReadStat(pid)
					return err == nil && !s.Live()
				})
			}
			kill(command)
			if !r.tracker.reapChildren() {
				t.Error("no child is hidden by the command")
			}
			r.subreap()
			orphan := startWith(t, "A=b").Pid
			if err := syscall.Kill(orphan, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			free(t, r, command)
			eventually(t, "the orphan is reaped", func() bool {
				_, err := procfs.ReadStat(orphan)
				return err != nil
			})
			if name == "that is not reaped" {
				if s, err := procfs.ReadStat(command); err != nil || s.Live() {
					t.Error("the command was reaped by the reaper")
				}
				r.tracker.mu.Lock()
				delete(r.tracker.commands, command)
				r.tracker.mu.Unlock()
			}
		})
	}
}

// EV-03: without Subreap a command does not take the exit status of another child of this process.
func TestOtherChildrenAreNotReaped(t *testing.T) {
	if !inOwnProcess(t) {
		return
	}
	for name, subreap := range map[string]bool{"without Subreap": false, "with Subreap": true} {
		t.Run(name, func(t *testing.T) {
			r := newTestbed(t, plugin.WatchPidfd)
			if subreap {
				r.subreap()
			}
			other := startWith(t, "A=b").Pid
			if err := syscall.Kill(other, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			eventually(t, "a zombie", func() bool {
				s, err := procfs.ReadStat(other)
				return err != nil || !s.Live()
			})
			r.startPlugin("p", "exit", "0")
			var status syscall.WaitStatus
			_, err := syscall.Wait4(other, &status, 0, nil)
			if reaped := err != nil; reaped != subreap {
				t.Errorf("the other child was reaped: %t (%v), want false", reaped, err)
			}
		})
	}
}
