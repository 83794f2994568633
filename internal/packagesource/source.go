// Package supply gets plugins' packages as the configuration says: from where
// an offer tells, else from where the control plane lists them, with the limits,
// trusted keys and deadlines that are configured. Every program that installs
// packages gets them through it.
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

// Source is the source of packages.
type Source struct {
	installer *install.Installer
	client    *control.Client
	log       logrus.FieldLogger
	fetches   activeFetches
	packed    bool // a package is kept as it came, too: an external manager is given that
}

// New makes the source of packages that is configured.
func New(cfg config.Config, plane *control.Client, log logrus.FieldLogger) (*Source, error) {
	installer, err := NewInstaller(cfg)
	if err != nil {
		return nil, err
	}
	return &Source{installer: installer, client: plane, log: log, packed: cfg.Manager != config.ManagerNative}, nil
}

// Close ends the connections that are kept.
func (s *Source) Close() { s.installer.Close() }

// Sweep removes what installations that were cut short have left in staging,
// and tells how much that was (internal/install).
func (s *Source) Sweep(ctx context.Context) (int, error) { return s.installer.Sweep(ctx) }

// Fetches are the packages that are on their way at this moment.
func (s *Source) Fetches() []plugin.FetchProgress { return s.fetches.list() }

// Trusts returns why what lies unpacked of a version may not be installed as it
// is, or nil.
func (s *Source) Trusts(ctx context.Context, name, version string) error {
	return s.installer.Trusts(ctx, name, version)
}

// NewInstaller makes the installer that is configured, for a package that somebody
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
	own := ClientConfig(cfg)
	shown, err := own.TLSConfig()
	if err != nil {
		return nil, err
	}
	own.CertFile, own.KeyFile = "", ""
	anonymous, err := own.TLSConfig()
	if err != nil {
		return nil, err
	}
	return install.New(install.Config{
		Root: cfg.Root, OS: platform.LocalOS(), Arch: platform.LocalArch(),
		Fetch: fetch.Config{
			Timeout: cfg.Install.FetchTimeout, Stall: cfg.Install.Stall, MinRate: int64(cfg.Install.MinRate),
			Tries: cfg.Install.Tries, TLS: anonymous, Origin: cfg.ControlPlane.URL, OriginTLS: shown, CA: own.CA, Proxy: own.Proxy,
			Jitter: func(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) },
		},
		Limits:        pkgcheck.Limits{Size: int64(cfg.Install.MaxSize), Entries: cfg.Install.MaxEntries, Ratio: int64(cfg.Install.MaxRatio)},
		RequireSHA256: cfg.Upgrade.RequireSHA256, TrustedKeys: keys, Accepted: transaction.New(cfg.Root, nil),
	})
}

// NewClient makes the client of the control plane that is configured. id is who this
// host is to it, see config.InstanceID.
func NewClient(cfg config.Config, id string, log logrus.FieldLogger) (*control.Client, error) {
	reach := ClientConfig(cfg)
	reach.InstanceID, reach.Version = id, version.String()
	return control.New(reach, log)
}

// ClientConfig is how the control plane is reached; who speaks is left to the caller.
func ClientConfig(cfg config.Config) control.Config {
	c := cfg.ControlPlane
	return control.Config{
		URL: c.URL, Timeout: c.Timeout, TokenFile: c.TokenFile, CertFile: c.CertFile, KeyFile: c.KeyFile,
		CA: trust.Authorities{File: c.CAFile, Host: c.HostCAs}, Proxy: c.Proxy,
	}
}

// Stage gets the package of an offer. What was verified by less than a SHA-256
// is said so. The error is a *plugin.PackageError when it is about the package,
// not about the control plane that lists it.
func (s *Source) Stage(ctx context.Context, o plugin.Change) (*install.Staged, error) {
	_, _ = s.installer.Sweep(ctx) // so that what commands leave does not pile up; the next one tries again
	on, arrived := s.fetches.start(o.Name, o.Version)
	defer arrived()
	r := install.Request{Source: o.Package, Name: o.Name, Version: o.Version, Progress: on, Resume: true, Staged: o.Staged, HandOver: s.packed}
	var missing error
	if r.Source == "" {
		found, err := s.client.FindPackage(ctx, o.Name, o.Version)
		if err != nil {
			missing = fmt.Errorf("find a package of version %s: %w", o.Version, err)
		}
		if err != nil && !errors.Is(err, control.ErrNotListed) {
			return nil, missing
		}
		r.Source, r.SHA256, r.MD5, r.Manifest = found.URL, found.SHA256, found.MD5, found.Manifest
	}
	switch {
	case o.Avoid == r.ID():
		return nil, &plugin.PackageError{Package: o.Avoid, Err: plugin.ErrAvoided}
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
		"plugin": o.Name, "version": o.Version, "source": r.Source, "bytes": staged.Size, "verified": string(staged.Verified), "key": staged.Key,
	})
	if staged.Verified.IsUnverified() {
		log.Warn("Package is staged, weakly verified")
	} else {
		log.Info("Package is staged")
	}
	return staged, nil
}
