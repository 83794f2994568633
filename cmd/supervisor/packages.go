package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/internal/config"
	"pluginsupervisor/internal/control"
	"pluginsupervisor/internal/install"
	"pluginsupervisor/internal/install/fetch"
	"pluginsupervisor/internal/install/manifest"
	"pluginsupervisor/internal/install/unpack"
	"pluginsupervisor/internal/transaction"
	"pluginsupervisor/plugin"
)

// packages gets packages from where an offer says, or from where the control
// plane lists them.
type packages struct {
	installer *install.Installer
	plane     *control.Client
	progress  fetch.Progress // may be nil
	log       logrus.FieldLogger
}

// newPackages makes the source of packages that is configured.
func newPackages(cfg config.Config, plane *control.Client, log logrus.FieldLogger) (*packages, error) {
	installer, err := newInstaller(cfg)
	if err != nil {
		return nil, err
	}
	return &packages{installer: installer, plane: plane, log: log}, nil
}

func newInstaller(cfg config.Config) (*install.Installer, error) {
	var keys []manifest.PublicKey
	for _, line := range cfg.Upgrade.TrustedKeys {
		key, err := manifest.ParsePublicKey(line)
		if err != nil {
			return nil, fmt.Errorf("upgrade.trusted_keys: %w", err)
		}
		keys = append(keys, key)
	}
	secure, err := controlConfig(cfg).TLS()
	if err != nil {
		return nil, err
	}
	return install.New(install.Config{
		Root: cfg.Root, OS: control.LocalOS(), Arch: control.LocalArch(),
		Fetch: fetch.Config{
			Timeout: cfg.Install.FetchTimeout, TLS: secure,
			Jitter: func(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) },
		},
		Limits:        unpack.Limits{Size: int64(cfg.Install.MaxSize), Entries: cfg.Install.MaxEntries, Ratio: int64(cfg.Install.MaxRatio)},
		RequireSHA256: cfg.Upgrade.RequireSHA256, TrustedKeys: keys, Accepted: transaction.New(cfg.Root, nil),
	})
}

// controlConfig is how the control plane is reached.
func controlConfig(cfg config.Config) control.Config {
	c := cfg.ControlPlane
	return control.Config{URL: c.URL, Timeout: c.Timeout, TokenFile: c.TokenFile, CAFile: c.CAFile, CertFile: c.CertFile, KeyFile: c.KeyFile}
}

// Stage gets the package of an offer. What was verified by less than a SHA-256
// is said so.
func (p *packages) Stage(ctx context.Context, o plugin.Offer) (*install.Staged, error) {
	r := install.Request{Source: o.Package, Name: o.Name, Version: o.Version, Progress: p.progress}
	if r.Source == "" {
		found, err := p.plane.FindPackage(ctx, o.Name, o.Version)
		if err != nil {
			return nil, fmt.Errorf("version %s is not unpacked on this host: %w", o.Version, err)
		}
		r.Source, r.SHA256, r.MD5, r.Manifest = found.URL, found.SHA256, found.MD5, found.Manifest
	}
	staged, err := p.installer.Stage(ctx, r)
	if err != nil {
		return nil, err
	}
	log := p.log.WithFields(logrus.Fields{
		"plugin": o.Name, "version": o.Version, "source": r.Source, "bytes": staged.Size, "verified": string(staged.Verified), "key": staged.Key,
	})
	if staged.Verified.Weak() {
		log.Warn("Package is staged, weakly verified")
	} else {
		log.Info("Package is staged")
	}
	return staged, nil
}
