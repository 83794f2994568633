// Package native is the native manager: it finds plugins in the plugin database
// and runs their verbs as processes of its own. It holds no policy: the caller
// decides what is started, when, and how often.
//
// A plugin's executable is BASE/plugin/<name>/<version>/<runPath>. It gets one
// verb, the caller's environment with PLUGIN_DIR and PRE_PLUGIN_DIR, and the
// deadline of its record (SPEC 2). A start, a stop, a removal and a change of
// version hold the plugin's name lock exclusively, so that no other program works
// on the plugin meanwhile and it never runs twice (RS-11).
package native

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/internal/install"
	"pluginsupervisor/internal/logger"
	"pluginsupervisor/internal/process"
	"pluginsupervisor/internal/registry"
	"pluginsupervisor/internal/transaction"
	"pluginsupervisor/internal/verb"
	"pluginsupervisor/plugin"
)

// DefaultGrace is the least time that a plugin has to stop after its `--stop`.
const DefaultGrace = 3 * time.Second

// Options are the parts and settings of a manager. Root, Runner and Registry are needed.
type Options struct {
	Root           string // BASE, absolute
	Runner         Runner
	Registry       *registry.Registry
	Tracker        *process.Tracker  // follows what plugins leave running; nil: they are not followed
	Parallel       int               // probes at once (SC-08); not positive: 2×CPU, within 4 and 32
	AllowDowngrade bool              // the same or an older version is installed too (UP-08)
	Grace          time.Duration     // the least time to stop after `--stop`; not positive: DefaultGrace
	Prove          time.Duration     // for how long a new version must be healthy before the old one is given up
	Quarantine     time.Duration     // for how long a version that was rolled back is blocked; not positive: it is not
	Packages       Packages          // where packages come from; nil: only versions that are unpacked here can be installed
	Heartbeats     Heartbeats        // of plugins, checked while a new version proves itself; nil: they are not
	OpeningLock    func(name string) // called before a plugin's name lock is opened; may be nil
	Log            logrus.FieldLogger
	LocalOS        string // in the words of the wire (SPEC 3): a package must be for it
	LocalArch      string // likewise
	// GoneByProcesses makes the processes of a plugin decide whether it stopped: it
	// did when none is left, also when its `--status` reports running. Where one is
	// left and `--status` reports running, it is not killed. It needs a Tracker.
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

// Packages gets the package of a change, verified and unpacked, into staging.
// It touches nothing else.
type Packages interface {
	Stage(ctx context.Context, c plugin.Change) (*install.Staged, error)
	// Trusts returns why the unpacked folder of a version may not be installed as
	// it is, or nil.
	Trusts(ctx context.Context, name, version string) error
}

// Manager works on the plugins of one root. It may be used by several
// goroutines at once; each call returns soon after its context ends, when the
// processes that it ran are gone. There is nothing to close: the owner of the
// Runner drains it.
type Manager struct {
	prober
	pluginProcesses
	registry   *registry.Registry
	downgrade  bool
	byProcess  bool // see Options.GoneByProcesses
	heartbeats Heartbeats
	packages   Packages
	os, arch   string
	log        logrus.FieldLogger

	locks       nameLocks
	quietPeriod time.Duration // see defaultQuietPeriod
	proveWindow time.Duration // see Options.Prove

	changes    *transaction.Store
	quarantine quarantine
	staged     install.Kept
	folders    *folderRemover
	versions   versions
	origins    origins
}

// New returns a manager. It touches no file.
func New(o Options) *Manager {
	if o.Grace <= 0 {
		o.Grace = DefaultGrace
	}
	log := logger.OrSilent(o.Log)
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		key, _, _ := strings.Cut(kv, "=")
		return key == plugin.EnvDir || key == plugin.EnvPreviousDir
	})
	changes, folders := transaction.New(o.Root, nil), &folderRemover{log: log}
	return &Manager{
		prober: prober{
			verbRunner: verbRunner{root: o.Root, runner: o.Runner, env: env, log: log},
			parallel:   verb.Parallel(o.Parallel), probePatience: verb.Patience, overtime: o.Grace + unkillableGrace,
		},
		pluginProcesses: pluginProcesses{tracker: o.Tracker, grace: o.Grace, log: log},
		registry:        o.Registry, downgrade: o.AllowDowngrade, byProcess: o.GoneByProcesses, heartbeats: o.Heartbeats, packages: o.Packages,
		os: o.LocalOS, arch: o.LocalArch, log: log,
		locks: nameLocks{root: o.Root, opening: o.OpeningLock, log: log}, quietPeriod: defaultQuietPeriod, proveWindow: o.Prove,
		changes: changes, quarantine: quarantine{changes, o.Quarantine}, folders: folders, origins: newOrigins(),
		versions: versions{root: o.Root, registry: o.Registry, changes: changes, folders: folders, log: log},
	}
}

// List reads the plugin database, and adds how the packages of the installed
// versions were verified, as far as that is known. It waits only briefly for the
// folders of versions (EV-24).
func (m *Manager) List(ctx context.Context) (plugin.List, error) {
	list, err := m.registry.List(ctx)
	if err != nil {
		return list, err
	}
	m.origins.addVerified(m.root, list.Plugins)
	m.origins.forgetOthers(m.root, list.Plugins)
	return list, nil
}

// Problems returns what an operator may have to do something about: folders that
// cannot be deleted, and long waits for name locks.
func (m *Manager) Problems() []plugin.Problem {
	return append(m.folders.listUndeleted(), m.locks.longWaits(time.Now())...)
}

// ListQuarantined returns the versions in quarantine. The error means that there
// may be more.
func (m *Manager) ListQuarantined() ([]plugin.QuarantinedVersion, error) { return m.quarantine.list() }

// CleanUp removes expired quarantines and completes the exchanges of folders
// that a killed process left. It is called before any change.
func (m *Manager) CleanUp(ctx context.Context) error {
	return errors.Join(m.quarantine.removeExpired(), m.endExchanges(ctx))
}

// endExchanges completes the exchanges that belong to no transaction, such as
// those of a command that installs by itself. A plugin that another program works
// on is left alone.
func (m *Manager) endExchanges(ctx context.Context) error {
	names, failed := install.ListInterrupted(m.root)
	for _, name := range names {
		if _, found, err := m.changes.Find(name); found || err != nil {
			continue
		}
		soon, cancel := context.WithTimeout(ctx, exchangeLockTimeout)
		l, _, err := m.locks.take(soon, name, "ending an exchange of folders")
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

// exchangeLockTimeout bounds the wait for the name lock of a plugin whose
// exchange was interrupted.
const exchangeLockTimeout = 100 * time.Millisecond

// logFor returns the log with the plugin and its version as fields.
func logFor(log logrus.FieldLogger, p plugin.Plugin) logrus.FieldLogger {
	return log.WithFields(logrus.Fields{"plugin": p.Name, "version": p.Version})
}
