package process

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"pluginsupervisor/internal/testenv"
	"pluginsupervisor/plugin"
)

// EV-01, EV-02: no inotify watch or instance is left. FollowLeaves returns an error that names the
// limit. Plugins still run in their leaves, and exits are reported.
func TestWithoutInotify(t *testing.T) {
	for limit, setting := range map[string]string{
		"max_inotify_watches":   "fs.inotify.max_user_watches",
		"max_inotify_instances": "fs.inotify.max_user_instances",
	} {
		t.Run(limit, func(t *testing.T) {
			if !inUserNamespace(t, limit) {
				return
			}
			r := startTestbed(t, plugin.WatchCgroup, true)
			if err := r.tracker.FollowLeaves(t.Context()); err == nil || !strings.Contains(err.Error(), setting) {
				t.Errorf("error %v, want one that names %s", err, setting)
			}
			res := r.startPlugin("a", "serve", "2")
			if r.tracker.leafOf("a") == nil {
				t.Error("the plugin has no leaf")
			}
			r.signalProcess(res.Processes[0], syscall.SIGKILL)
			if e := r.nextPartialExit(); e.PID != res.Processes[0].PID {
				t.Errorf("reported %+v of %+v", e, res)
			}
			r.signalProcess(res.Processes[1], syscall.SIGKILL)
			if e := r.nextKnownExit(); e.Name != "a" || e.RunID != res.RunID {
				t.Errorf("reported %+v of %+v", e, res)
			}
		})
	}
}

// inUserNamespace runs the test again in its own process, in a user namespace with this limit set
// to 0.
func inUserNamespace(t *testing.T, limit string) (child bool) {
	t.Helper()
	const key = "PROCESS_NAMESPACE"
	if os.Getenv(key) == t.Name() {
		if err := os.WriteFile("/proc/sys/user/"+limit, []byte("0"), 0); err != nil {
			t.Fatal(err)
		}
		return true
	}
	c := exec.Command("/proc/self/exe", "-test.run=^"+strings.ReplaceAll(t.Name(), "/", "$/^")+"$", "-test.timeout=2m")
	c.Env = append(os.Environ(), key+"="+t.Name())
	self := func(id int) []syscall.SysProcIDMap { return []syscall.SysProcIDMap{{HostID: id, Size: 1}} }
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER, UidMappings: self(os.Getuid()), GidMappings: self(os.Getgid()),
	}
	out, err := c.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) {
		testenv.SkipWithout(t, testenv.UserNamespace, err)
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}
