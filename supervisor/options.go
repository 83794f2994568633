package supervisor

import (
	"errors"
	"fmt"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/internal/config"
	"pluginsupervisor/internal/logger"
	"pluginsupervisor/plugin"
)

// Option is a setting of a Supervisor, for New. Each may be given once.
type Option func(*options) error

// options holds the values of the Options.
type options struct {
	file           string
	settings       []config.Setting
	loaded         *config.Config
	warnings       []config.Warning
	log            *logrus.Logger
	handler        plugin.UpdateHandler
	subreaper      bool
	serviceManager bool
	besideAgent    bool

	given map[string]bool // names of the Options that were applied
}

// markGiven returns an error for an Option that is given a second time.
func (o *options) markGiven(name string) error {
	if o.given[name] {
		return fmt.Errorf("%s is given twice", name)
	}
	o.given[name] = true
	return nil
}

// addSetting adds the value of a key; where is the Option that sets it.
func (o *options) addSetting(key, value, where string) error {
	for _, s := range o.settings {
		if s.Key == key {
			return fmt.Errorf("%s is set twice: %q by %s and %q by %s", key, s.Text, s.Where, value, where)
		}
	}
	o.settings = append(o.settings, config.Setting{Key: key, Text: value, Where: where})
	return nil
}

// WithRoot sets the folder of the installation, an absolute path. It is created
// if it does not exist. The root is required.
func WithRoot(path string) Option {
	return func(o *options) error { return o.addSetting("root", path, "WithRoot") }
}

// WithControlPlane sets the URL of the control plane, which is required. The
// control plane need not be reachable.
func WithControlPlane(url string) Option {
	return func(o *options) error { return o.addSetting("control_plane.url", url, "WithControlPlane") }
}

// WithSetting sets a key of docs/configuration.md, such as "intervals.scan" to
// "5m". The value is written as in an environment variable.
func WithSetting(key, value string) Option {
	return func(o *options) error { return o.addSetting(key, value, fmt.Sprintf("WithSetting(%q)", key)) }
}

// WithConfigFile reads the configuration from a YAML file, which must exist. The
// other Options override what it says.
func WithConfigFile(path string) Option {
	return func(o *options) error {
		if path == "" {
			return errors.New("WithConfigFile: the path is empty")
		}
		o.file = path
		return o.markGiven("WithConfigFile")
	}
}

// WithConfig sets the whole configuration, with the warnings to log. It is for
// the programs of this module, which read it from their command lines; others
// use WithRoot, WithControlPlane, WithSetting and WithConfigFile, which exclude it.
func WithConfig(cfg config.Config, warnings ...config.Warning) Option {
	return func(o *options) error {
		o.loaded, o.warnings = &cfg, warnings
		return o.markGiven("WithConfig")
	}
}

// WithLogger sets where the Supervisor logs; without it, nothing is logged. The
// level and the format are those of the logger. Its writer must not block: the
// Supervisor waits for it.
func WithLogger(log *logrus.Logger) Option {
	return func(o *options) error {
		if log == nil {
			return errors.New("WithLogger: the logger is nil")
		}
		o.log = log
		return o.markGiven("WithLogger")
	}
}

// WithUpdateHandler sets the function that may handle an update which the control
// plane assigned itself (UP-05). It is called for one update at a time, before the
// command of upgrade.hook. Other updates wait for it; its context ends when Run
// returns. An update whose handler panics is made by the Supervisor.
func WithUpdateHandler(h plugin.UpdateHandler) Option {
	return func(o *options) error {
		if h == nil {
			return errors.New("WithUpdateHandler: the handler is nil")
		}
		o.handler = h
		return o.markGiven("WithUpdateHandler")
	}
}

// WithSubreaper makes the process a child subreaper: it becomes the parent of the
// daemons that plugins start, so that their exit codes are known (EV-03). The
// Supervisor then reaps all child processes of the process. It is only for programs
// that start none themselves and run one Supervisor.
func WithSubreaper() Option {
	return func(o *options) error {
		o.subreaper = true
		return o.markGiven("WithSubreaper")
	}
}

// WithServiceManager makes the Supervisor report readiness, status and the
// watchdog of the process to systemd (EV-20). It is for a process that is the main
// process of a systemd service.
func WithServiceManager() Option {
	return func(o *options) error {
		o.serviceManager = true
		return o.markGiven("WithServiceManager")
	}
}

// WithExistingAgent allows the start while the existing agent runs on the same
// root. Both may start the same plugin.
func WithExistingAgent() Option {
	return func(o *options) error {
		o.besideAgent = true
		return o.markGiven("WithExistingAgent")
	}
}

// readOptions applies the Options, and loads and checks the configuration. The
// error joins all mistakes.
func readOptions(list []Option) (*options, error) {
	o := &options{given: map[string]bool{}}
	var errs []error
	for i, option := range list {
		if option == nil {
			errs = append(errs, fmt.Errorf("option %d is nil", i+1))
			continue
		}
		errs = append(errs, option(o))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if o.log == nil {
		o.log = logger.Silent()
	}
	if o.loaded != nil {
		if o.file != "" || len(o.settings) > 0 {
			return nil, errors.New("WithConfig excludes WithConfigFile, WithSetting, WithRoot and WithControlPlane")
		}
		return o, nil
	}
	cfg, warnings, err := config.Load(config.Sources{File: o.file, FileNamed: o.file != "", Settings: o.settings})
	if err != nil {
		return nil, err
	}
	for _, required := range []struct{ key, option string }{{"root", "WithRoot"}, {"control_plane.url", "WithControlPlane"}} {
		if cfg.Origin(required.key) == "" {
			err = errors.Join(err, fmt.Errorf("%s is not set: use %s", required.key, required.option))
		}
	}
	o.loaded, o.warnings = &cfg, warnings
	return o, err
}
