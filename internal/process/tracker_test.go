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

// rigged is a Tracker that is followed, a Runner, and the processes of a test.
type rigged struct {
	family
	tracker *Tracker
	runner  *Runner
	root    string // of the plugins' folders
	exits   chan plugin.Exit
	parts   chan plugin.Exit // marked Partial
	end     func()           // of the life, if there is one
	blind   bool             // leaves are not followed
}

// eachWay runs a test once with cgroups and once without.
func eachWay(t *testing.T, test func(t *testing.T, r *rigged)) {
	for _, way := range []plugin.Watch{plugin.WatchCgroup, plugin.WatchPidfd} {
		t.Run(way.String(), func(t *testing.T) { test(t, newRig(t, way)) })
	}
}

func newRig(t *testing.T, way plugin.Watch) *rigged {
	t.Helper()
	return beginRig(t, way, false)
}

func beginRig(t *testing.T, way plugin.Watch, blind bool) *rigged {
	t.Helper()
	r := &rigged{family: newFamily(t), root: t.TempDir(), end: func() {}, blind: blind}
	r.begin(way)
	t.Cleanup(func() {
		r.kill()
		tree := r.tracker.tree
		eventually(t, "nothing runs in a leaf", func() bool { return vacated(tree) })
		r.end()
		if tree != nil {
			if _, err := os.Stat(tree.Dir()); err == nil {
				t.Errorf("%s is left behind", tree.Dir())
			}
		}
	})
	return r
}

// begin is a life of a supervisor, after the one before has ended. Nothing is
// adopted.
func (r *rigged) begin(way plugin.Watch) {
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

func (r *rigged) subreap() {
	r.t.Helper()
	if err := r.tracker.Subreap(); err != nil {
		r.t.Fatal(err)
	}
}

// openTree is for the root of a test; without cgroups the test does not run.
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

// vacated tells whether nothing runs in the leaves any more.
func vacated(tree *cgroup.Tree) bool {
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

// of is a command of a plugin, which leaves a daemon.
func (r *rigged) of(name, helper string, args ...string) Command {
	r.t.Helper()
	c := r.command(helper, args...)
	c.Plugin, c.Daemon, c.Log = name, true, filepath.Join(r.root, name+".log")
	c.Env = append(c.Env, plugin.EnvDir+"="+filepath.Join(r.root, name, "1.0"))
	return c
}

// start runs `--start` of a plugin that leaves n daemons.
func (r *rigged) start(name, helper string, args ...string) Result {
	r.t.Helper()
	res := r.runner.Run(r.t.Context(), r.of(name, "start", append([]string{helper}, args...)...))
	if res.Err != nil {
		r.t.Fatalf("start: %v\n%s", res.Err, res.Output)
	}
	return res
}

// exit is the next that is told.
func (r *rigged) exit() plugin.Exit {
	r.t.Helper()
	select {
	case e := <-r.exits:
		return e
	case <-time.After(20 * time.Second):
		r.t.Fatal("no exit was told in 20 s")
		panic("unreachable")
	}
}

// explained is the next exit, as the kernel tells it in the end.
func (r *rigged) explained() plugin.Exit {
	r.t.Helper()
	e := r.exit()
	if e.Known || !tellsOthers(r.t) {
		return e
	}
	late := r.exit()
	if !late.Late || late.PID != e.PID || late.Life != e.Life || !late.At.Equal(e.At) {
		r.t.Errorf("told again as %+v, before as %+v", late, e)
	}
	return late
}

// tellsOthers tells whether the kernel says how processes ended that were not
// our children: since Linux 6.15.
func tellsOthers(t *testing.T) bool {
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

// quiet checks that nothing is told, by having something else told after it.
func (r *rigged) quiet(after string) {
	r.t.Helper()
	res := r.start("marker", "serve")
	r.signal(res.Processes[0], syscall.SIGKILL)
	if e := r.exit(); e.Name != "marker" {
		r.t.Errorf("%s: told of %+v", after, e)
	} else if !e.Known && tellsOthers(r.t) {
		if e := r.exit(); e.Name != "marker" {
			r.t.Errorf("%s: told of %+v", after, e)
		}
	}
}

func (r *rigged) signal(p plugin.Process, sig syscall.Signal) {
	r.t.Helper()
	if err := kill(p, sig); err != nil {
		r.t.Fatal(err)
	}
}

// inOwnProcess runs the test again in a process of its own, which may reap all
// its children: others of this one's are waited for by somebody.
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
