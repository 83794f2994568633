package process

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/internal/bounded"
	"pluginsupervisor/internal/cgroup"
	"pluginsupervisor/internal/logger"
	"pluginsupervisor/internal/pause"
	"pluginsupervisor/internal/procfs"
	"pluginsupervisor/plugin"
)

// TrackerOptions holds the settings of a Tracker.
type TrackerOptions struct {
	// Tree holds the plugins' cgroups. Without it, processes are found by their PLUGIN_DIR and
	// watched one by one (EV-03). Close closes it.
	Tree *cgroup.Tree
	// Plugins is the folder that holds the plugins' folders, as it is spelled in PLUGIN_DIR.
	Plugins string
	// Output returns the end of a plugin's output; nil: it is not known.
	Output func(name string) string
	Log    logrus.FieldLogger // nil: silent
}

// Tracker tracks what the commands of plugins leave running, and what an earlier run of the
// supervisor left. Its methods are safe for concurrent use. Follow and FollowLeaves may each run
// once at a time.
type Tracker struct {
	tree        *cgroup.Tree
	plugins     string
	output      func(string) string
	log         logrus.FieldLogger
	boot        string
	exits       *exitSet
	descriptors *descriptors
	closed      chan struct{}
	hung        bounded.Set   // reads of files that have not returned
	wake        chan struct{} // one token: queue is not empty
	unhidden    chan struct{} // one token: reapChildren can see all children again

	mu        sync.Mutex // guards the fields below
	tracked   map[string]*tracked
	members   map[int]*member // watched, by pid
	byFD      map[int]*member
	commands  map[int]int    // pids of running commands; two commands may share a pid for an instant
	forks     map[*fork]bool // commands that are being started
	queue     []plugin.Exit
	lastScan  processScan // the last scan of all processes
	swept     bool        // leaves of unknown plugins were removed
	hidden    bool        // see reapChildren
	reaping   bool        // from Subreap to Close: orphans are reaped here
	fullSince time.Time   // when the descriptors ran out for the first time
}

// tracked is the state of one plugin.
type tracked struct {
	name           string
	leaf           *cgroup.Leaf // of Daemon commands and what they leave; nil: none has run yet
	probes         *cgroup.Leaf // of probes
	leftovers      *leftovers   // probes of an earlier run of the supervisor; nil: none
	limits         plugin.Limits
	daemonCommands int           // running commands that may leave a daemon
	probeCommands  int           // running commands that may not
	runID          uint64        // see plugin.Exit
	alive          bool          // its exit is not reported yet
	watched        []*member     // of this plugin
	exits          []processExit // of members, since the last reported exit
	lastSearch     time.Time     // when the last search for new members was
	nextInspection *time.Timer   // the timer of the next inspection
	emptySince     time.Time     // when no process was found for the first time
	oomKills       uint64        // OOM kills reported so far
	warned         bool          // a problem with watching it was logged
	unwatched      bool          // no descriptor was left to watch it
	outside        bool          // its processes were started by another program, or are looked for there

	pendingPartial   *partial       // to be reported
	reportedPartials partialReports // already reported
}

// member is a process that is watched.
type member struct {
	plugin.Process
	plugin *tracked
	fd     int
	status syscall.WaitStatus // valid if known
	known  bool
}

// NewTracker returns a Tracker. Close stops it.
func NewTracker(o TrackerOptions) (*Tracker, error) {
	o.Log = logger.OrSilent(o.Log)
	boot, err := procfs.BootID()
	if err != nil {
		return nil, err
	}
	ends, err := newExitSet()
	if err != nil {
		return nil, fmt.Errorf("watch processes: %w", err)
	}
	descriptors, err := newDescriptors()
	if err != nil {
		return nil, err
	}
	return &Tracker{
		descriptors: descriptors,
		tree:        o.Tree, plugins: o.Plugins, output: o.Output, log: o.Log, boot: boot, exits: ends,
		closed: make(chan struct{}), wake: make(chan struct{}, 1), unhidden: make(chan struct{}, 1),
		tracked: map[string]*tracked{}, members: map[int]*member{}, byFD: map[int]*member{}, commands: map[int]int{}, forks: map[*fork]bool{},
	}, nil
}

// Close stops the tracking. It leaves plugins and their leaves alone, removes empty leaves, and kills the
// probes that an earlier run of the supervisor left.
func (t *Tracker) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	close(t.closed)
	t.reaping = false
	for _, tr := range t.tracked {
		if tr.nextInspection != nil {
			tr.nextInspection.Stop()
		}
		if tr.pendingPartial != nil {
			tr.pendingPartial.timer.Stop()
		}
		t.discardExits(tr)
	}
	for _, m := range t.members {
		t.closeMember(m)
	}
	err := t.exits.closeSet()
	if t.tree == nil {
		return err
	}
	t.killProbesNow()
	names, _ := t.tree.Names()
	for _, name := range names {
		_ = t.tree.Remove(name) // fails where a process runs
	}
	t.tree.Close()
	return err
}

func (t *Tracker) getTracked(name string) *tracked {
	tr, ok := t.tracked[name]
	if !ok {
		tr = &tracked{name: name}
		t.tracked[name] = tr
	}
	return tr
}

// SetLimits sets the limits of a plugin from its next start on. It returns the limits that cannot be
// enforced here, each with the reason (EV-17).
func (t *Tracker) SetLimits(name string, l plugin.Limits) (not []string) {
	t.mu.Lock()
	t.getTracked(name).limits = l
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

// ListProcesses returns the live processes of a plugin, the oldest first, and the run ID. The error means
// that they are not known.
func (t *Tracker) ListProcesses(name string) (ps []plugin.Process, life uint64, err error) {
	const tries = 100
	for range tries {
		at := time.Now()
		t.mu.Lock()
		tr := t.getTracked(name)
		ps, err = t.inspect(tr, at)
		life = tr.runID
		t.mu.Unlock()
		if !errors.Is(err, errFleeting) {
			break
		}
		time.Sleep(minPoll)
	}
	return ps, life, err
}

// KillPlugin kills all processes of a plugin. It returns when none is alive or ctx has ended.
func (t *Tracker) KillPlugin(ctx context.Context, name string) error {
	for pauses := pause.NewDoubling(minPoll, maxPoll); ; {
		left, _, err := t.ListProcesses(name)
		if len(left) == 0 && !errors.Is(err, errFleeting) {
			return err
		}
		var failed []error
		if leaf := t.leafOf(name); leaf != nil {
			failed = append(failed, leaf.Kill())
		}
		for _, p := range left {
			failed = append(failed, signalProcess(p, syscall.SIGKILL))
		}
		if err := pauses.Sleep(ctx); err != nil {
			return errors.Join(append(failed, err)...)
		}
	}
}

// leafOf returns the leaf of a plugin, nil if no command of it has run in one yet.
func (t *Tracker) leafOf(name string) *cgroup.Leaf {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.getTracked(name).leaf
}
