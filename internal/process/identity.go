package process

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"pluginsupervisor/plugin"
)

// bootID tells this boot of the host from every other.
func bootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("identify this boot: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// Age is how long ago the process was started, in whole hundredths of a
// second; 0 for one of another boot.
func Age(p plugin.Process) time.Duration {
	now := bootTicks()
	if boot, err := bootID(); err != nil || boot != p.Boot || p.Born > now {
		return 0
	}
	return time.Duration(now-p.Born) * (time.Second / ticksPerSecond)
}

// pluginDir is what a process was given as its plugin's folder, "" if nothing.
// The kernel shows what the process was started with.
func pluginDir(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return ""
	}
	for kv := range bytes.SplitSeq(b, []byte{0}) {
		if dir, ok := bytes.CutPrefix(kv, []byte(EnvPluginDir+"=")); ok {
			return string(dir)
		}
	}
	return ""
}

// executing tells whether some process, started a moment ago, shows no
// environment: it may be executing another program.
func executing() bool {
	pids, err := processes()
	if err != nil {
		return false
	}
	const kernelThreads = 2
	young := bootTicks() - ticksPerSecond
	return slices.ContainsFunc(pids, func(pid int) bool {
		s, err := readStat(pid)
		if err != nil || !s.live() || s.born < young || s.parent == kernelThreads {
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
