// Package platform holds the names of operating systems and machines of hosts and
// packages (SPEC 1 and 3).
package platform

import (
	"fmt"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"pluginsupervisor/plugin"
)

// Special names.
const (
	Unknown = "unknown" // a host with another system or machine
	AnyOS   = "both"    // a package for every operating system
	AnyArch = "all"     // a package for every machine
)

// OS returns the name of an operating system for Go's name: linux, windows, freebsd or
// Unknown.
func OS(goos string) string {
	switch word := strings.ToLower(goos); word {
	case "linux", "windows", "freebsd":
		return word
	default:
		return Unknown
	}
}

// Arch returns the name of a machine for that of uname or Go: arm, x86, x64 or Unknown.
// The returned names are accepted, too.
func Arch(machine string) string {
	m := strings.ToLower(machine)
	switch {
	case strings.Contains(m, "aarch"), strings.Contains(m, "arm"):
		return "arm"
	case m == "x86", strings.Contains(m, "386"), strings.Contains(m, "686"):
		return "x86"
	case m == "x64", strings.Contains(m, "x86_64"), strings.Contains(m, "amd64"):
		return "x64"
	default:
		return Unknown
	}
}

// LocalOS returns the name of the operating system of this host.
func LocalOS() string { return OS(runtime.GOOS) }

// LocalArch returns the name of the machine of this host.
func LocalArch() string { return Arch(Uname().Machine) }

// PackageOS returns a package's osType in lower case, AnyOS for "". An unknown name is an
// error.
func PackageOS(osType string) (string, error) {
	return packageWord("osType", osType, AnyOS, "linux", "windows", "freebsd")
}

// PackageArch returns a package's arch in lower case, AnyArch for "". An unknown name is
// an error.
func PackageArch(arch string) (string, error) {
	return packageWord("arch", arch, AnyArch, "x64", "x86", "arm")
}

// packageWord returns the text in lower case if it is a known name, and the first known
// name for "".
func packageWord(field, text string, known ...string) (string, error) {
	lower := strings.ToLower(text)
	switch {
	case text == "":
		return known[0], nil
	case slices.Contains(known, lower):
		return lower, nil
	default:
		return "", fmt.Errorf("%s %q is none of %s", field, plugin.TruncateText(text, 40), strings.Join(known, ", "))
	}
}

// FitsOS reports whether a package with this osType is for the host: it is "", AnyOS or
// that of the host, in any case (SPEC 1).
func FitsOS(osType, host string) bool { return fitsWord(osType, AnyOS, host) }

// FitsArch reports whether a package with this arch is for the host: it is "", AnyArch or
// that of the host, in any case (SPEC 1).
func FitsArch(arch, host string) bool { return fitsWord(arch, AnyArch, host) }

func fitsWord(word, general, host string) bool {
	return word == "" || strings.EqualFold(word, general) || strings.EqualFold(word, host)
}

// Names holds the names that uname returns for this host.
type Names struct{ System, Release, Version, Machine string }

// Uname returns the names of this host, each Unknown if the call fails.
func Uname() Names {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil { // only a bad pointer makes it fail
		return Names{Unknown, Unknown, Unknown, Unknown}
	}
	return Names{
		System:  unix.ByteSliceToString(u.Sysname[:]),
		Release: unix.ByteSliceToString(u.Release[:]),
		Version: unix.ByteSliceToString(u.Version[:]),
		Machine: unix.ByteSliceToString(u.Machine[:]),
	}
}
