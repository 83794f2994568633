// Package testenv skips tests that need more than Go and make: root, cgroups, a
// recent kernel. It is the only package that skips, so that a machine which has
// to run everything (make test-all) can make each skip a failure.
package testenv

import (
	"os"
	"testing"
)

// Require is the environment variable that, set to "all", makes a skip fail
// unless the need is optional.
const Require = "SUPERVISOR_TEST_REQUIRE"

// Need is a property of the machine that a test requires.
type Need string

// The needs of all tests.
const (
	Cgroup2            Need = "cgroup2"             // root and a writable cgroup v2 hierarchy
	Cgroup2Controllers Need = "cgroup2-controllers" // controllers in cgroup v2
	Cgroup2Bare        Need = "cgroup2-bare"        // a cgroup v2 hierarchy without controllers
	Cgroup1Controllers Need = "cgroup1-controllers" // controllers in cgroup v1
	CgroupKill         Need = "cgroup-kill"         // cgroup.kill, since Linux 5.14
	CgroupXattr        Need = "cgroup-xattr"        // extended attributes on cgroups
	Fanotify           Need = "fanotify"            // permission to hold up an execve, since Linux 5.0
	Limits             Need = "limits"              // cpu, memory and pids controllers, of v1 or v2
	Mount              Need = "mount"               // permission to mount a tmpfs
	Fuse               Need = "fuse"                // permission to mount a FUSE file system
	SeccompNotify      Need = "seccomp-notify"      // permission to answer for system calls of a child, since Linux 5.19
	SetClock           Need = "set-clock"           // permission to set the clock
	ShortInotifyQueue  Need = "short-inotify-queue" // at most 131,072 queued inotify events
	PlainUser          Need = "plain-user"          // not root
	RealPrograms       Need = "real-programs"       // programs of others, which make test-all installs
	Root               Need = "root"                // root, to give files to another user
	UserNamespace      Need = "user-namespace"      // permission to make a user namespace
)

// optional holds the needs that may be missing even where everything is required,
// with the reason.
var optional = map[Need]string{
	Cgroup2Controllers: "in the hybrid layout the controllers are in cgroup v1",
	Cgroup2Bare:        "in the unified layout the controllers are in cgroup v2",
	Cgroup1Controllers: "in the unified layout there is no cgroup v1",
	PlainUser:          "root is needed by other tests",
}

// All reports whether everything is required. Long tables of tests then run
// completely.
func All() bool { return os.Getenv(Require) == "all" }

// SkipWithout stops a test that cannot run because the machine lacks the need; why
// is the error or text that shows it. The test is skipped, or fails where everything
// is required and the need is not optional.
func SkipWithout(t testing.TB, need Need, why any) {
	t.Helper()
	switch required := os.Getenv(Require); required {
	case "":
		t.Skipf("needs %s: %v", need, why)
	case "all":
		if reason := optional[need]; reason != "" {
			t.Skipf("needs %s, which is optional (%s): %v", need, reason, why)
		}
		t.Fatalf("needs %s, and %s=all allows no skip: %v", need, Require, why)
	default:
		t.Fatalf("%s is %q; it must be empty or all", Require, required)
	}
}
