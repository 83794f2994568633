// Package native is the native manager: it finds plugins in the plugin database,
// runs their verbs as processes of its own, and knows nothing of why it is told
// to. Whoever calls it decides what is started, when, and how often.
//
// A plugin's executable is BASE/plugin/<name>/<version>/<runPath>. It gets one
// verb, the caller's environment with PLUGIN_DIR and PRE_PLUGIN_DIR, and the
// deadline of its record (SPEC 2). Starting and stopping hold the plugin's name
// lock exclusively, as removing it and switching its version do, so that no other
// program works on the plugin meanwhile and it never runs twice (RS-11).
package native

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/internal/bounded"
	"pluginsupervisor/internal/failpoint"
	"pluginsupervisor/internal/install"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/logger"
	"pluginsupervisor/internal/process"
	"pluginsupervisor/internal/registry"
	"pluginsupervisor/internal/transaction"
	"pluginsupervisor/internal/verb"
	"pluginsupervisor/plugin"
)

// DefaultGrace is the least time a plugin has to be gone after its `--stop`.
const DefaultGrace = 3 * time.Second

// Options say what the manager works on. Root, Runner and Registry are needed.
type Options struct {
	Root           string // BASE, absolute
	Runner         Runner
	Registry       *registry.Registry
	Tracker        *process.Tracker  // follows what plugins leave running; nil: they are not followed
	Parallel       int               // probes at once (SC-08); not positive: 2×CPU, within 4 and 32
	AllowDowngrade bool              // an offer of the same or an older version is carried out (UP-08)
	Grace          time.Duration     // the least time to be gone after `--stop`; not positive: DefaultGrace
	Prove          time.Duration     // for how long a new version must be healthy before the old one is given up
	Quarantine     time.Duration     // for how long a version that was rolled back is refused; not positive: it is not
	Packages       Packages          // where packages come from; nil: only what is unpacked here can be upgraded to
	Heartbeats     Heartbeats        // what a new version is judged by as well; nil: it is not
	OpeningLock    func(name string) // called before a plugin's name lock is opened; may be nil
	Log            logrus.FieldLogger
	LocalOS        string // in the words of the wire (SPEC 3), for what packages are accepted
	LocalArch      string
	// GoneByProcesses judges a plugin that was stopped by its processes: it is gone
	// when none is left, also when its `--status` says that it runs; and where one is
	// left and `--status` says so, it is not killed. It needs a Tracker.
	GoneByProcesses bool
}

// Runner runs the verbs of plugins.
type Runner interface {
	Run(ctx context.Context, c process.Command) process.Result
}

// Heartbeats reads the plugins' heartbeat files.
type Heartbeats interface {
	Read(ctx context.Context, ps []plugin.Plugin, now time.Time) []plugin.Heartbeat
}

// Packages gets the package of an offer, verified and unpacked, into staging.
// It touches nothing else.
type Packages interface {
	Stage(ctx context.Context, o plugin.Change) (*install.Staged, error)
	// Trusts returns why what lies unpacked of a version may not be installed as
	// it is, or nil.
	Trusts(ctx context.Context, name, version string) error
}

// Manager works on the plugins of one root. It may be used by several
// goroutines at once; each call ends soon after its context, and with it the
// processes it ran. It has nothing to close: the Runner is drained by its owner.
type Manager struct {
	root      string
	runner    Runner
	registry  *registry.Registry
	tracker   *process.Tracker
	parallel  int
	patience  time.Duration // how long a probe counts against parallel
	downgrade bool
	grace     time.Duration
	byProcess bool // see Options.GoneByProcesses

	changes    *transaction.Store
	staged     install.Kept
	undeleted  undeleted
	waits      lockWaits
	quiet      time.Duration // see quietFor
	opening    func(name string)
	window     time.Duration // in which a new version proves itself
	quarantine time.Duration
	heartbeats Heartbeats
	packages   Packages
	step       failpoint.Step // asked before each step of a transaction; nil in production

	log      logrus.FieldLogger
	os, arch string
	stuck    bounded.Set // plugins whose `--status` could not be ended
	origins  origins
	env      []string // the caller's, without what every verb gets of its own
}

// New returns a manager. It touches no file.
func New(o Options) *Manager {
	m := &Manager{
		root: o.Root, runner: o.Runner, registry: o.Registry, tracker: o.Tracker, parallel: verb.Parallel(o.Parallel), patience: verb.Patience,
		downgrade: o.AllowDowngrade, grace: o.Grace, byProcess: o.GoneByProcesses, log: o.Log, os: o.LocalOS, arch: o.LocalArch,
		origins: newOrigins(), changes: transaction.New(o.Root, nil), window: o.Prove, quarantine: o.Quarantine, heartbeats: o.Heartbeats, packages: o.Packages,
		quiet: quietFor, opening: o.OpeningLock,
	}
	if m.grace <= 0 {
		m.grace = DefaultGrace
	}
	m.log = logger.OrSilent(m.log)
	m.env = slices.DeleteFunc(os.Environ(), func(kv string) bool {
		key, _, _ := strings.Cut(kv, "=")
		return key == plugin.EnvDir || key == plugin.EnvPreviousDir
	})
	return m
}

// List reads the plugin database, and adds by what the installed versions'
// packages were verified, as far as that is known. It waits for no plugin's
// folder for long (EV-24).
func (m *Manager) List(ctx context.Context) (plugin.List, error) {
	list, err := m.registry.List(ctx)
	if err != nil {
		return list, err
	}
	m.origins.add(m.root, list.Plugins)
	m.origins.keep(m.root, list.Plugins)
	return list, nil
}

// Refused are the versions in quarantine. The error is that there may be more.
func (m *Manager) Refused() ([]plugin.QuarantinedVersion, error) {
	return m.changes.Bans(time.Now(), m.quarantine)
}

// TidyUp forgets the quarantines that are over, and ends the exchanges of
// folders that a killed process left; before anybody upgrades.
func (m *Manager) TidyUp(ctx context.Context) error {
	return errors.Join(m.changes.SweepBans(time.Now(), m.quarantine), m.endExchanges(ctx))
}

// endExchanges ends those that no transaction knows of, as those of a command
// that installs by itself. A plugin that another program works on is left to it.
func (m *Manager) endExchanges(ctx context.Context) error {
	names, failed := install.ListInterrupted(m.root)
	for _, name := range names {
		if _, found, err := m.changes.Find(name); found || err != nil {
			continue
		}
		soon, cancel := context.WithTimeout(ctx, exchangeLimit)
		l, _, err := m.takeLock(soon, name, "ending an exchange of folders")
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			continue
		}
		if err == nil {
			err = install.Recover(m.root, name)
			l.release()
		}
		failed = errors.Join(failed, err)
	}
	return failed
}

// exchangeLimit is how long another program is waited for, that has the plugin
// whose exchange was cut short.
const exchangeLimit = 100 * time.Millisecond

// dir is the folder of one version of a plugin. Name and version are checked by the caller.
func (m *Manager) dir(name, version string) string {
	return layout.Version(m.root, name, version)
}
