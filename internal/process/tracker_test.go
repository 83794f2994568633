package process

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/cgroup"
	"pluginsupervisor/internal/testenv"
	"pluginsupervisor/plugin"
)

// testbed holds a Tracker that is followed, a Runner, and the processes of a test.
type testbed struct {
	family
	tracker *Tracker
	runner  *Runner
	root    string // of the plugins' folders
	exits   chan plugin.Exit
	parts   chan plugin.Exit // marked Partial
	end     func()           // ends the run, if there is one
	blind   bool             // leaves are not followed
}

// withAndWithoutCgroups runs a test once with cgroups and once without.
func withAndWithoutCgroups(t *testing.T, test func(t *testing.T, r *testbed)) {
	for _, way := range []plugin.WatchMethod{plugin.WatchCgroup, plugin.WatchPidfd} {
		t.Run(way.String(), func(t *testing.T) { test(t, newTestbed(t, way)) })
	}
}

func newTestbed(t *testing.T, way plugin.WatchMethod) *testbed {
	t.Helper()
	return startTestbed(t, way, false)
}

func startTestbed(t *testing.T, way plugin.WatchMethod, blind bool) *testbed {
	t.Helper()
	r := &testbed{family: newFamily(t), root: t.TempDir(), end: func() {}, blind: blind}
	r.startRun(way)
	t.Cleanup(func() {
		r.killAll()
		tree := r.tracker.tree
		eventually(t, "nothing runs in a leaf", func() bool { return leavesAreEmpty(tree) })
		r.end()
		if tree != nil {
			if _, err := os.Stat(tree.Dir()); err == nil {
				t.Errorf("cgroup %s is left behind", tree.Dir())
			}
		}
	})
	return r
}

// startRun starts a new run of the supervisor, after the previous one has ended. It adopts no process.
func (r *testbed) startRun(way plugin.WatchMethod) {
	r.t.Helper()
	r.end()
	log := logrus.New()
	log.SetOutput(r.t.Output())
	var tree *cgroup.Tree
	if way == plugin.WatchCgroup {
		tree = openTree(r.t, r.root, log)
	}
	tracker, err := NewTracker(TrackerOptions{Tree: tree, Plugins: r.root, Log: log})
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	exits, parts, followed := make(chan plugin.Exit, 100), make(chan plugin.Exit, 100), make(chan error)
	go func() {
		followed <- tracker.Follow(ctx, func(e plugin.Exit) {
			if e.Partial {
				parts <- e
			} else {
				exits <- e
			}
		})
	}()
	if !r.blind {
		go func() { followed <- tracker.FollowLeaves(ctx) }()
	}
	r.end = func() {
		r.end = func() {}
		cancel()
		if err := <-followed; err != nil {
			r.t.Errorf("Follow: %v", err)
		}
		if !r.blind {
			if err := <-followed; err != nil {
				r.t.Errorf("FollowLeaves: %v", err)
			}
		}
		if err := tracker.Close(); err != nil {
			r.t.Error(err)
		}
	}
	r.tracker, r.exits, r.parts = tracker, exits, parts
	r.runner = NewRunner(Options{Tracker: tracker, Grace: 100 * time.Millisecond, Log: log})
}

func (r *testbed) subreap() {
	r.t.Helper()
	if err := r.tracker.Subreap(); err != nil {
		r.t.Fatal(err)
	}
}

// openTree returns a cgroup tree. Without cgroups the test is skipped.
func openTree(t *testing.T, root string, log logrus.FieldLogger) *cgroup.Tree {
	t.Helper()
	tree, err := cgroup.Open(cgroup.Options{Root: root, Log: log})
	if errors.Is(err, cgroup.ErrNone) {
		testenv.SkipWithout(t, testenv.Cgroup2, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// leavesAreEmpty reports whether no process runs in the leaves.
func leavesAreEmpty(tree *cgroup.Tree) bool {
	if tree == nil {
		return true
	}
	names, err := tree.Names()
	if err != nil {
		return false
	}
	for _, name := range names {
		for _, leafOf := range []func(string) (*cgroup.Leaf, error){tree.Leaf, tree.Probes} {
			leaf, err := leafOf(name)
			if err != nil {
				return false
			}
			if populated, err := leaf.Populated(); err != nil || populated {
				return false
			}
		}
	}
	return true
}

// daemonCommand returns a command of a plugin that leaves a daemon.
func (r *testbed) daemonCommand(name, helper string, args ...string) Command {
	r.t.Helper()
	c := r.command(helper, args...)
	c.Plugin, c.Daemon, c.Log = name, true, filepath.Join(r.root, name+".log")
	c.Env = append(c.Env, plugin.EnvDir+"="+filepath.Join(r.root, name, "1.0"))
	return c
}

// startPlugin runs `--start` of a plugin that leaves n daemons.
func (r *testbed) startPlugin(name, helper string, args ...string) Result {
	r.t.Helper()
	res := r.runner.Run(r.t.Context(), r.daemonCommand(name, "start", append([]string{helper}, args...)...))
	if res.Err != nil {
		r.t.Fatalf("start: %v\n%s", res.Err, res.Output)
	}
	return res
}

// nextExit returns the next reported exit.
func (r *testbed) nextExit() plugin.Exit {
	r.t.Helper()
	select {
	case e := <-r.exits:
		return e
	case <-time.After(20 * time.Second):
		r.t.Fatal("no exit was reported in 20 s")
		panic("unreachable")
	}
}

// nextKnownExit returns the next exit, after its cause is known.
func (r *testbed) nextKnownExit() plugin.Exit {
	r.t.Helper()
	e := r.nextExit()
	if e.CauseKnown || !kernelReportsOthers(r.t) {
		return e
	}
	late := r.nextExit()
	if !late.Late || late.PID != e.PID || late.RunID != e.RunID || !late.At.Equal(e.At) {
		r.t.Errorf("reported again as %+v, before as %+v", late, e)
	}
	return late
}

// kernelReportsOthers reports whether the kernel gives the exit status of processes that are not our
// children: since Linux 6.15.
func kernelReportsOthers(t *testing.T) bool {
	t.Helper()
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		t.Fatal(err)
	}
	return atLeast(unix.ByteSliceToString(name.Release[:]), 6, 15)
}

func atLeast(release string, major, minor int) bool {
	var a, b int
	for i, part := range strings.SplitN(release, ".", 3) {
		n := 0
		for _, digit := range part {
			if digit < '0' || digit > '9' {
				break
			}
			n = 10*n + int(digit-'0')
		}
		switch i {
		case 0:
			a = n
		case 1:
			b = n
		}
	}
	return a > major || a == major && b >= minor
}

// checkNoExit fails the test if an exit is reported. It causes another exit to know when to stop waiting.
func (r *testbed) checkNoExit(after string) {
	r.t.Helper()
	res := r.startPlugin("marker", "serve")
	r.signalProcess(res.Processes[0], syscall.SIGKILL)
	if e := r.nextExit(); e.Name != "marker" {
		r.t.Errorf("%s: reported %+v, want nothing", after, e)
	} else if !e.CauseKnown && kernelReportsOthers(r.t) {
		if e := r.nextExit(); e.Name != "marker" {
			r.t.Errorf("%s: reported %+v, want nothing", after, e)
		}
	}
}

func (r *testbed) signalProcess(p plugin.Process, sig syscall.Signal) {
	r.t.Helper()
	if err := signalProcess(p, sig); err != nil {
		r.t.Fatal(err)
	}
}

// inOwnProcess runs the test again in its own process, because Subreap reaps all children of a
// process.
func inOwnProcess(t *testing.T) (child bool) {
	t.Helper()
	const key = "PROCESS_ALONE"
	if os.Getenv(key) == t.Name() {
		return true
	}
	c := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=2m")
	c.Env = append(os.Environ(), key+"="+t.Name())
	out, err := c.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if strings.Contains(string(out), "--- SKIP") {
		t.Log(string(out))
	}
	return false
}
