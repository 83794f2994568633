package process

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/internal/cgroup"
	"pluginsupervisor/internal/logger"
	"pluginsupervisor/internal/pause"
	"pluginsupervisor/internal/procfs"
	"pluginsupervisor/plugin"
)

// TrackerOptions are a Tracker's settings.
type TrackerOptions struct {
	// Tree has the plugins' cgroups; nil: their processes are found by the
	// PLUGIN_DIR they were given, and watched one by one (EV-03). It is closed
	// with the Tracker.
	Tree *cgroup.Tree
	// Plugins is the folder of the plugins' folders, as it is in PLUGIN_DIR.
	Plugins string
	// Output gives the end of what a plugin printed; nil: nothing is known of it.
	Output func(name string) string
	Log    logrus.FieldLogger // nil: silent
}

// Tracker follows what the commands of plugins leave running, and what an
// earlier life of the supervisor has left. Its methods may be called from any
// goroutine, at the same time, but for Follow and FollowLeaves, of which there
// may be one each.
type Tracker struct {
	tree        *cgroup.Tree
	plugins     string
	output      func(string) string
	log         logrus.FieldLogger
	boot        string
	ends        *ends
	descriptors *descriptors
	closed      chan struct{}
	wake        chan struct{} // one token: queue has something
	cleared     chan struct{} // one token: what was hidden from reap is not any more

	mu        sync.Mutex // of all below
	tracked   map[string]*tracked
	members   map[int]*member // watched, by pid
	byFD      map[int]*member
	commands  map[int]int    // pids of running commands; two may share one for an instant
	forks     map[*fork]bool // commands that are being started
	queue     []plugin.Exit
	survey    survey    // the last pass over the processes
	swept     bool      // leaves without a plugin were removed
	hidden    bool      // see reap
	reaping   bool      // from Subreap to Close: children that are no commands are reaped
	fullSince time.Time // when a process could not be watched for the first time
}

// tracked is one plugin.
type tracked struct {
	name      string
	leaf      *cgroup.Leaf // what may stay runs in it; nil: nothing has yet
	probes    *cgroup.Leaf // what is only asked
	leftovers *leftovers   // what an earlier life of the supervisor was asking; nil: nothing
	limits    plugin.Limits
	verbs     int         // commands running now that may leave a daemon
	askers    int         // commands running now that may not
	life      uint64      // see plugin.Exit
	alive     bool        // its end is still to be told
	watched   []*member   // of it
	endings   []ending    // of members, since it was last told
	looked    time.Time   // when members were last looked for because all had ended
	again     *time.Timer // of the next look
	empty     time.Time   // when nothing of it was found for the first time
	kills     uint64      // for want of memory, told so far
	warned    bool        // of trouble with watching it
	unwatched bool        // there was no descriptor to watch it with
	outside   bool        // what runs was started by another program, or is looked for there

	partial  *partial // to be reported
	partials partials // reported
}

// member is a process that is watched.
type member struct {
	plugin.Process
	of     *tracked
	fd     int
	status syscall.WaitStatus // if known
	known  bool
}

// NewTracker makes a Tracker. It does nothing yet; Close ends it.
func NewTracker(o TrackerOptions) (*Tracker, error) {
	o.Log = logger.OrSilent(o.Log)
	boot, err := procfs.BootID()
	if err != nil {
		return nil, err
	}
	ends, err := newEnds()
	if err != nil {
		return nil, fmt.Errorf("watch processes: %w", err)
	}
	descriptors, err := newDescriptors()
	if err != nil {
		return nil, err
	}
	return &Tracker{
		descriptors: descriptors,
		tree:        o.Tree, plugins: o.Plugins, output: o.Output, log: o.Log, boot: boot, ends: ends,
		closed: make(chan struct{}), wake: make(chan struct{}, 1), cleared: make(chan struct{}, 1),
		tracked: map[string]*tracked{}, members: map[int]*member{}, byFD: map[int]*member{}, commands: map[int]int{}, forks: map[*fork]bool{},
	}, nil
}

// Close ends the watching. What is watched is left alone, and its leaves; those
// in which nothing runs are removed. What an earlier life of the supervisor was
// asking plugins is killed.
func (t *Tracker) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	close(t.closed)
	t.reaping = false
	for _, tr := range t.tracked {
		if tr.again != nil {
			tr.again.Stop()
		}
		if tr.partial != nil {
			tr.partial.timer.Stop()
		}
		t.forget(tr)
	}
	for _, m := range t.members {
		t.drop(m)
	}
	err := t.ends.close()
	if t.tree == nil {
		return err
	}
	t.endProbes()
	names, _ := t.tree.Names()
	for _, name := range names {
		_ = t.tree.Remove(name) // refused where something runs
	}
	t.tree.Close()
	return err
}

func (t *Tracker) get(name string) *tracked {
	tr, ok := t.tracked[name]
	if !ok {
		tr = &tracked{name: name}
		t.tracked[name] = tr
	}
	return tr
}

// Limit bounds what a plugin may use from its next start on, and tells what of
// it cannot be enforced here, each with why (EV-17).
func (t *Tracker) Limit(name string, l plugin.Limits) (not []string) {
	t.mu.Lock()
	t.get(name).limits = l
	t.mu.Unlock()
	if t.tree != nil {
		return t.tree.Unlimited(l)
	}
	for _, asked := range []struct {
		what string
		is   bool
	}{{"cpu", l.CPU > 0}, {"memory", l.Memory > 0}, {"pids", l.PIDs > 0}} {
		if asked.is {
			not = append(not, asked.what+": no cgroup")
		}
	}
	return not
}

// Alive is what runs of a plugin now, the eldest first, and its number. The
// error says that it is not known.
func (t *Tracker) Alive(name string) (ps []plugin.Process, life uint64, err error) {
	const tries = 100
	for range tries {
		at := time.Now()
		t.mu.Lock()
		tr := t.get(name)
		ps, err = t.look(tr, at)
		life = tr.life
		t.mu.Unlock()
		if !errors.Is(err, errFleeting) {
			break
		}
		time.Sleep(firstLook)
	}
	return ps, life, err
}

// Kill ends all that runs of a plugin, and returns when nothing of it lives,
// or ctx has ended.
func (t *Tracker) Kill(ctx context.Context, name string) error {
	for pauses := pause.NewDoubling(firstLook, lastLook); ; {
		left, _, err := t.Alive(name)
		if len(left) == 0 && !errors.Is(err, errFleeting) {
			return err
		}
		var failed []error
		if leaf := t.leafOf(name); leaf != nil {
			failed = append(failed, leaf.Kill())
		}
		for _, p := range left {
			failed = append(failed, kill(p, syscall.SIGKILL))
		}
		if err := pauses.Sleep(ctx); err != nil {
			return errors.Join(append(failed, err)...)
		}
	}
}

// leafOf is a plugin's leaf, nil as long as nothing of it has run in one.
func (t *Tracker) leafOf(name string) *cgroup.Leaf {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.get(name).leaf
}
