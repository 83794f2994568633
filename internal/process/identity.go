package process

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"time"

	"pluginsupervisor/internal/procfs"
	"pluginsupervisor/plugin"
)

// Age returns the time since the process was started, in whole hundredths of a second. It is 0 for
// a process of another boot.
func Age(p plugin.Process) time.Duration {
	now := procfs.BootTicks()
	if boot, err := procfs.BootID(); err != nil || boot != p.BootID || p.StartTicks > now {
		return 0
	}
	return time.Duration(now-p.StartTicks) * (time.Second / procfs.TicksPerSecond)
}

// pluginDir returns the PLUGIN_DIR in the environment of a process, "" if there is none.
func pluginDir(pid int) string {
	dir, _ := procfs.Variable(pid, plugin.EnvDir)
	return dir
}

// anyExecuting reports whether a process that was started a moment ago shows no environment. Such a
// process may be in the middle of an execve.
func anyExecuting() bool {
	pids, err := procfs.PIDs()
	if err != nil {
		return false
	}
	const kernelThreads = 2
	young := procfs.BootTicks() - procfs.TicksPerSecond
	return slices.ContainsFunc(pids, func(pid int) bool {
		s, err := procfs.ReadStat(pid)
		if err != nil || !s.Live() || s.Born < young || s.Parent == kernelThreads {
			return false
		}
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		return err == nil && len(b) == 0
	})
}

// isStatusProbe reports whether a process is a status probe.
func isStatusProbe(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && bytes.Contains(b, []byte("\x00"+string(plugin.VerbStatus)+"\x00"))
}
