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

// FileName returns a file name for a name: itself, or when it is too long for the file
// system, its first 200 bytes, a dash and 8 hex digits of its SHA-256 (SPEC 1). A
// plugin's name may be 255 bytes long, so a name with something appended needs this, or
// SuffixedName.
func FileName(name string) string {
	if len(name) <= maxName {
		return name
	}
	return shorten(name, name)
}

// SuffixedName returns a file name for a name and a suffix. It always ends with the
// suffix. The name is shortened where both together are too long, and also where it
// has the form of a shortened name, so that two names never have the same file.
func SuffixedName(name, suffix string) string {
	if len(name)+len(suffix) <= maxName && !looksShortened(name) {
		return name + suffix
	}
	return shorten(name, name+suffix) + suffix
}

// PairName returns a file name for a version of a plugin: name@version, and where a @
// in them makes that ambiguous, a shortened form.
func PairName(name, version string) string {
	pair := name + "@" + version
	if strings.Count(pair, "@") == 1 {
		return pair
	}
	return shorten(pair, name+"\x00"+version)
}

// CgroupName returns the name of a plugin's cgroup: the name itself, or the shortened
// form where the kernel has files of such a name (SPEC 1).
func CgroupName(name string) string {
	prefix, _, dotted := strings.Cut(name, ".")
	if dotted && slices.Contains(kernelPrefixes[:], prefix) || slices.Contains(kernelFiles[:], name) {
		return shorten(name, name)
	}
	return FileName(name)
}

// The names of the kernel's files in a cgroup, of both versions: the prefixes before a
// dot, and the names without one.
var (
	kernelPrefixes = [...]string{
		"cgroup", "cpu", "cpuacct", "cpuset", "io", "blkio", "memory", "pids", "hugetlb", "rdma", "misc", "dmem", "irq",
		"devices", "freezer", "net_cls", "net_prio", "perf_event", "debug",
	}
	kernelFiles = [...]string{"tasks", "notify_on_release", "release_agent"}
)

// shorten returns the first bytes of a name, a dash, and the first digits of the digest
// of whole.
func shorten(name, whole string) string {
	sum := sha256.Sum256([]byte(whole))
	return name[:min(len(name), keptName)] + "-" + hex.EncodeToString(sum[:digestDigits/2])
}

// looksShortened reports whether a name has the length and the form of a shortened one.
func looksShortened(name string) bool {
	if len(name) != keptName+1+digestDigits || name[keptName] != '-' {
		return false
	}
	return strings.Trim(name[keptName+1:], "0123456789abcdef") == ""
}
