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

// Age is how long ago the process was started, in whole hundredths of a
// second; 0 for one of another boot.
func Age(p plugin.Process) time.Duration {
	now := procfs.BootTicks()
	if boot, err := procfs.BootID(); err != nil || boot != p.Boot || p.Born > now {
		return 0
	}
	return time.Duration(now-p.Born) * (time.Second / procfs.TicksPerSecond)
}

// pluginDir returns what a process was given as its plugin's folder, "" if nothing.
func pluginDir(pid int) string {
	dir, _ := procfs.Variable(pid, plugin.EnvDir)
	return dir
}

// executing tells whether some process, started a moment ago, shows no
// environment: it may be executing another program.
func executing() bool {
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

// asks tells whether a process is one that was only to say how its plugin is.
func asks(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && bytes.Contains(b, []byte("\x00"+string(plugin.VerbStatus)+"\x00"))
}
