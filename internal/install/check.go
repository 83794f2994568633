package install

import (
	"errors"
	"strings"

	"pluginsupervisor/internal/install/failure"
	"pluginsupervisor/internal/install/manifest"
	"pluginsupervisor/internal/pkgcheck"
	"pluginsupervisor/internal/record"
)

// packageFailure returns err, from checking or unpacking a package, with the
// reason that the command line has for it. A refusal keeps the words of pkgcheck.
func packageFailure(err error) error {
	var refusal *pkgcheck.Error
	if !errors.As(err, &refusal) {
		return failure.Because(failure.Storage, err)
	}
	switch refusal.Reason {
	case pkgcheck.NotZip:
		return failure.Because(failure.NotZip, refusal)
	case pkgcheck.BadConfig:
		return failure.Because(failure.Config, refusal)
	case pkgcheck.NotAcceptable:
		return failure.Of(refusal.Name, refusal.Version, failure.Because(failure.Package, refusal))
	default:
		return failure.Because(failure.Unzip, refusal)
	}
}

// checkAccount returns why this host cannot run the program of the package as the
// user that its service.yaml names, or nil (AP-12).
func checkAccount(p *pkgcheck.Package) error {
	if p.Service == nil {
		return nil
	}
	if _, err := p.Service.Account(); err != nil {
		return failure.New(failure.Package, "package is not acceptable: %w", err)
	}
	return nil
}

// checkIdentity compares what a package is with this host, with what was asked for and
// with what was signed.
func (i *Installer) checkIdentity(c record.PackageConfig, r Request, signed *manifest.Manifest) error {
	if err := c.CheckHost(i.cfg.OS, i.cfg.Arch); err != nil {
		return failure.Because(failure.Package, err)
	}
	if r.Name != "" && r.Name != c.Name || r.Version != "" && r.Version != c.Version {
		return failure.New(failure.Package, "package holds %s %s, wanted was %s %s", c.Name, c.Version, r.Name, r.Version)
	}
	if signed == nil {
		return nil
	}
	if signed.Name != c.Name || signed.Version != c.Version ||
		!strings.EqualFold(signed.OS, c.OSType) || !strings.EqualFold(signed.Arch, c.Arch) {
		return failure.New(failure.Signature, "package holds %s %s (%s %s), signed was %s %s (%s %s)",
			c.Name, c.Version, c.OSType, c.Arch, signed.Name, signed.Version, signed.OS, signed.Arch)
	}
	return nil
}
