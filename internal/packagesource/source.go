// Package packagesource gets plugins' packages as configured: from the place that a
// change names, else from the place that the control plane lists, with the configured
// limits, trusted keys and deadlines. Every program that installs packages uses it.
package packagesource

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/internal/config"
	"pluginsupervisor/internal/control"
	"pluginsupervisor/internal/install"
	"pluginsupervisor/internal/install/fetch"
	"pluginsupervisor/internal/install/manifest"
	"pluginsupervisor/internal/pkgcheck"
	"pluginsupervisor/internal/platform"
	"pluginsupervisor/internal/transaction"
	"pluginsupervisor/internal/trust"
	"pluginsupervisor/internal/version"
	"pluginsupervisor/plugin"
)

// Source gets packages.
type Source struct {
	installer *install.Installer
	client    *control.Client
	log       logrus.FieldLogger
	fetches   activeFetches
	packed    bool // the package file is kept too, for an external manager
}

// New returns the source of packages for a configuration.
func New(cfg config.Config, plane *control.Client, log logrus.FieldLogger) (*Source, error) {
	installer, err := NewInstaller(cfg)
	if err != nil {
		return nil, err
	}
	return &Source{installer: installer, client: plane, log: log, packed: cfg.Manager != config.ManagerNative}, nil
}

// Close closes the connections that are kept open.
func (s *Source) Close() { s.installer.Close() }

// Sweep removes what interrupted installations have left in staging, and returns how
// many folders it removed (internal/install).
func (s *Source) Sweep(ctx context.Context) (int, error) { return s.installer.Sweep(ctx) }

// Fetches returns the packages that are being fetched, sorted by name and version.
func (s *Source) Fetches() []plugin.FetchProgress { return s.fetches.list() }

// Trusts returns why the unpacked folder of a version may not be installed as it is,
// or nil.
func (s *Source) Trusts(ctx context.Context, name, version string) error {
	return s.installer.Trusts(ctx, name, version)
}

// NewInstaller returns the installer for a configuration, for a package that a command
// names.
func NewInstaller(cfg config.Config) (*install.Installer, error) {
	var keys []manifest.PublicKey
	for _, line := range cfg.Upgrade.TrustedKeys {
		key, err := manifest.ParsePublicKey(line)
		if err != nil {
			return nil, fmt.Errorf("upgrade.trusted_keys: %w", err)
		}
		keys = append(keys, key)
	}
	client := ClientConfig(cfg)
	withCert, err := client.TLSConfig()
	if err != nil {
		return nil, err
	}
	client.CertFile, client.KeyFile = "", ""
	anonymous, err := client.TLSConfig()
	if err != nil {
		return nil, err
	}
	return install.New(install.Config{
		Root: cfg.Root, OS: platform.LocalOS(), Arch: platform.LocalArch(),
		Fetch: fetch.Config{
			Timeout: cfg.Install.FetchTimeout, Stall: cfg.Install.Stall, MinRate: int64(cfg.Install.MinRate),
			Tries: cfg.Install.Tries, TLS: anonymous, Origin: cfg.ControlPlane.URL, OriginTLS: withCert, CA: client.CA, Proxy: client.Proxy,
			Jitter: func(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) },
		},
		Limits:        pkgcheck.Limits{Size: int64(cfg.Install.MaxSize), Entries: cfg.Install.MaxEntries, Ratio: int64(cfg.Install.MaxRatio)},
		RequireSHA256: cfg.Upgrade.RequireSHA256, TrustedKeys: keys, Accepted: transaction.New(cfg.Root, nil),
	})
}

// NewClient returns the client of the configured control plane. id identifies this host
// to it, see config.InstanceID.
func NewClient(cfg config.Config, id string, log logrus.FieldLogger) (*control.Client, error) {
	c := ClientConfig(cfg)
	c.InstanceID, c.Version = id, version.String()
	return control.New(c, log)
}

// ClientConfig returns the configuration of a client of the control plane, without the
// identity of this host.
func ClientConfig(cfg config.Config) control.Config {
	c := cfg.ControlPlane
	return control.Config{
		URL: c.URL, Timeout: c.Timeout, TokenFile: c.TokenFile, CertFile: c.CertFile, KeyFile: c.KeyFile,
		CA: trust.Authorities{File: c.CAFile, Host: c.HostCAs}, Proxy: c.Proxy,
	}
}

// Stage gets the package of a change. It logs a warning for a package that is verified
// by less than a SHA-256. The error is a *plugin.PackageError when it is about the
// package, not about the control plane that lists it.
func (s *Source) Stage(ctx context.Context, c plugin.Change) (*install.Staged, error) {
	_, _ = s.installer.Sweep(ctx) // so that leftovers of commands do not pile up; the next call retries
	progress, end := s.fetches.start(c.Name, c.Version)
	defer end()
	r := install.Request{Source: c.Package, Name: c.Name, Version: c.Version, Progress: progress, Resume: true, Staged: c.Staged, HandOver: s.packed}
	var missing error
	if r.Source == "" {
		found, err := s.client.FindPackage(ctx, c.Name, c.Version)
		if err != nil {
			missing = fmt.Errorf("find a package of version %s: %w", c.Version, err)
		}
		if err != nil && !errors.Is(err, control.ErrNotListed) {
			return nil, missing
		}
		r.Source, r.SHA256, r.MD5, r.Manifest = found.URL, found.SHA256, found.MD5, found.Manifest
	}
	switch {
	case c.Avoid == r.ID():
		return nil, &plugin.PackageError{Package: c.Avoid, Err: plugin.ErrAvoided}
	case missing != nil:
		return nil, &plugin.PackageError{Package: r.ID(), Err: missing}
	}
	staged, err := s.installer.Stage(ctx, r)
	if err != nil && ctx.Err() == nil {
		err = &plugin.PackageError{Package: r.ID(), Err: err}
	}
	if err != nil {
		return nil, err
	}
	log := s.log.WithFields(logrus.Fields{
		"plugin": c.Name, "version": c.Version, "source": r.Source, "bytes": staged.Size, "verified": string(staged.Verified), "key": staged.Key,
	})
	if staged.Verified.IsUnverified() {
		log.Warn("Package is staged without a SHA-256 or a signature that verifies it")
	} else {
		log.Info("Package is staged")
	}
	return staged, nil
}
