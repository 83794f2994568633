package install

import (
	"errors"
	"strings"

	"pluginsupervisor/internal/install/failure"
	"pluginsupervisor/internal/install/manifest"
	"pluginsupervisor/internal/pkgcheck"
	"pluginsupervisor/internal/record"
)

// packageFailure adds the failure.Reason to an error of checking or unpacking a
// package. The text of a pkgcheck error does not change.
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

// checkAccount fails when the user that service.yaml names does not exist on
// this host (AP-12).
func checkAccount(p *pkgcheck.Package) error {
	if p.Service == nil {
		return nil
	}
	if _, err := p.Service.Account(); err != nil {
		return failure.New(failure.Package, "package is not acceptable: %w", err)
	}
	return nil
}

// checkIdentity compares a package with this host, with the request and with the
// signed manifest.
func (i *Installer) checkIdentity(c record.PackageConfig, r Request, signed *manifest.Manifest) error {
	if err := c.CheckHost(i.cfg.OS, i.cfg.Arch); err != nil {
		return failure.Because(failure.Package, err)
	}
	if r.Name != "" && r.Name != c.Name || r.Version != "" && r.Version != c.Version {
		return failure.New(failure.Package, "package holds %s %s, requested was %s %s", c.Name, c.Version, r.Name, r.Version)
	}
	if signed == nil {
		return nil
	}
	if signed.Name != c.Name || signed.Version != c.Version ||
		!strings.EqualFold(signed.OS, c.OSType) || !strings.EqualFold(signed.Arch, c.Arch) {
		return failure.New(failure.Signature, "package holds %s %s (%s %s), its signature is for %s %s (%s %s)",
			c.Name, c.Version, c.OSType, c.Arch, signed.Name, signed.Version, signed.OS, signed.Arch)
	}
	return nil
}
