// Package platform holds the one table of words for operating systems and
// machines (SPEC 1 and 3): what a host is, and what a package is for.
package platform

import (
	"fmt"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"pluginsupervisor/plugin"
)

// The words with a meaning of their own.
const (
	Unknown = "unknown" // a host of another kind than the table has
	AnyOS   = "both"    // a package for every operating system
	AnyArch = "all"     // a package for every machine
)

// OS returns the word for an operating system as Go names it: linux, windows,
// freebsd or Unknown.
func OS(goos string) string {
	switch word := strings.ToLower(goos); word {
	case "linux", "windows", "freebsd":
		return word
	default:
		return Unknown
	}
}

// Arch returns the word for a machine as uname or Go names it: arm, x86, x64 or
// Unknown. A word of the table stays as it is.
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

// LocalOS returns the word for the operating system of this host.
func LocalOS() string { return OS(runtime.GOOS) }

// LocalArch returns the word for the machine of this host.
func LocalArch() string { return Arch(Uname().Machine) }

// PackageOS returns a package's osType in lower case, AnyOS for "". A word that
// no host has is an error.
func PackageOS(osType string) (string, error) {
	return packageWord("osType", osType, AnyOS, "linux", "windows", "freebsd")
}

// PackageArch returns a package's arch in lower case, AnyArch for "". A word
// that no host has is an error.
func PackageArch(arch string) (string, error) {
	return packageWord("arch", arch, AnyArch, "x64", "x86", "arm")
}

// packageWord returns the text in lower case if it is among the known words, and
// the first of them for "".
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

// FitsOS reports whether a package with this osType is for a host with this
// word: it is "", AnyOS or the host's, in any case (SPEC 1).
func FitsOS(osType, host string) bool { return fitsWord(osType, AnyOS, host) }

// FitsArch reports the same of its arch: it is "", AnyArch or the host's.
func FitsArch(arch, host string) bool { return fitsWord(arch, AnyArch, host) }

func fitsWord(word, general, host string) bool {
	return word == "" || strings.EqualFold(word, general) || strings.EqualFold(word, host)
}

// Names holds what uname says of this host.
type Names struct{ System, Release, Version, Machine string }

// Uname returns the names of this host, each Unknown where the kernel has none.
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
