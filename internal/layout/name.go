package layout

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
)

// The longest file name, and how much of a longer one is kept, in bytes (SPEC 1).
const (
	maxName      = 255
	keptName     = 200
	digestDigits = 8 // hex digits of the SHA-256, after a dash
)

// FileName returns the name for a file of that name: itself, or when the file
// system would not take it, its first 200 bytes, a dash and 8 hex digits of its
// SHA-256 (SPEC 1). A plugin's name may be 255 bytes long, so anything that
// appends to it needs this, or SuffixedName.
func FileName(name string) string {
	if len(name) <= maxName {
		return name
	}
	return shorten(name, name)
}

// SuffixedName returns the name for a file that is made of a name and a suffix.
// It always ends with the suffix: the name is shortened where both together are
// too long, and also where it looks as if it was shortened, so that two names
// never have one file.
func SuffixedName(name, suffix string) string {
	if len(name)+len(suffix) <= maxName && !looksShortened(name) {
		return name + suffix
	}
	return shorten(name, name+suffix) + suffix
}

// PairName returns the name for what is about a version of a plugin:
// name@version, and where a @ in them makes that ambiguous, a shortened form.
func PairName(name, version string) string {
	pair := name + "@" + version
	if strings.Count(pair, "@") == 1 {
		return pair
	}
	return shorten(pair, name+"\x00"+version)
}

// CgroupName returns the name of a plugin's cgroup: its own, or the shortened form
// where the kernel has files of such a name (SPEC 1).
func CgroupName(name string) string {
	prefix, _, dotted := strings.Cut(name, ".")
	if dotted && slices.Contains(kernelPrefixes[:], prefix) || slices.Contains(kernelFiles[:], name) {
		return shorten(name, name)
	}
	return FileName(name)
}

// What the names of the kernel's files in a cgroup begin with, before a dot, and
// those without one, of both versions of cgroups.
var (
	kernelPrefixes = [...]string{
		"cgroup", "cpu", "cpuacct", "cpuset", "io", "blkio", "memory", "pids", "hugetlb", "rdma", "misc", "dmem", "irq",
		"devices", "freezer", "net_cls", "net_prio", "perf_event", "debug",
	}
	kernelFiles = [...]string{"tasks", "notify_on_release", "release_agent"}
)

// shorten returns the first bytes of a name, a dash, and some of the digest of
// what it stands for.
func shorten(name, whole string) string {
	sum := sha256.Sum256([]byte(whole))
	return name[:min(len(name), keptName)] + "-" + hex.EncodeToString(sum[:digestDigits/2])
}

// looksShortened reports whether a name of a plugin has the length and the form
// of one that was shortened.
func looksShortened(name string) bool {
	if len(name) != keptName+1+digestDigits || name[keptName] != '-' {
		return false
	}
	return strings.Trim(name[keptName+1:], "0123456789abcdef") == ""
}
