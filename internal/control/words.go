package control

import (
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"pluginsupervisor/plugin"
)

// The statuses of SPEC 3, as the wire has them. WordUnknown is never sent.
const (
	WordRunning   = "PERSIST_RUNNING"
	WordFailed    = "PERSIST_FAIL"
	WordUnknown   = "PERSIST_UNKNOWN"
	WordInstalled = "ONCE_INSTALLED"
	WordRemoved   = "REMOVED"
)

// Word is the wire's word for a status.
func Word(s plugin.Status) string {
	switch s {
	case plugin.StatusRunning:
		return WordRunning
	case plugin.StatusFailed:
		return WordFailed
	case plugin.StatusInstalled:
		return WordInstalled
	case plugin.StatusRemoved:
		return WordRemoved
	default:
		return WordUnknown
	}
}

// ParseWord is the status a word of the wire stands for; false if it is none
// of the wire's words.
func ParseWord(word string) (plugin.Status, bool) {
	switch word {
	case WordRunning:
		return plugin.StatusRunning, true
	case WordFailed:
		return plugin.StatusFailed, true
	case WordUnknown:
		return plugin.StatusUnknown, true
	case WordInstalled:
		return plugin.StatusInstalled, true
	case WordRemoved:
		return plugin.StatusRemoved, true
	default:
		return plugin.StatusUnknown, false
	}
}

const unknown = "unknown"

// Arch is the wire's word for a machine as uname names it, in any case: arm,
// x86, x64 or unknown (SPEC 3).
func Arch(machine string) string {
	m := strings.ToLower(machine)
	switch {
	case strings.Contains(m, "aarch"), strings.Contains(m, "arm"):
		return "arm"
	case strings.Contains(m, "386"), strings.Contains(m, "686"):
		return "x86"
	case strings.Contains(m, "x86_64"), strings.Contains(m, "amd64"):
		return "x64"
	default:
		return unknown
	}
}

// OS is the wire's word for an operating system as Go names it: linux,
// windows, freebsd or unknown (SPEC 3).
func OS(goos string) string {
	switch goos {
	case "linux", "windows", "freebsd":
		return goos
	default:
		return unknown
	}
}

// LocalArch is the wire's word for the machine this runs on.
func LocalArch() string { return Arch(uname().machine) }

// LocalOS is the wire's word for the system this runs on.
func LocalOS() string { return OS(runtime.GOOS) }

// names is what uname tells of the host, as far as the wire has use for it.
type names struct{ sysname, release, version, machine string }

func uname() names {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil { // fails for a bad pointer only
		return names{unknown, unknown, unknown, unknown}
	}
	return names{
		sysname: unix.ByteSliceToString(u.Sysname[:]),
		release: unix.ByteSliceToString(u.Release[:]),
		version: unix.ByteSliceToString(u.Version[:]),
		machine: unix.ByteSliceToString(u.Machine[:]),
	}
}
