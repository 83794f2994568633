package install

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"pluginsupervisor/internal/install/failure"
	"pluginsupervisor/internal/install/fetch"
	"pluginsupervisor/internal/install/manifest"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/plugin"
)

// Verified is the method that verified the bytes of a package.
type Verified = plugin.Verified

// The methods, from strongest to none.
const (
	BySignature = plugin.BySignature
	BySHA256    = plugin.BySHA256
	ByMD5       = plugin.ByMD5
	ByNothing   = plugin.ByNothing
)

// verifyPackage verifies the fetched package by digest and signature. The
// manifest is nil when no keys are trusted.
func (i *Installer) verifyPackage(ctx context.Context, r Request, got fetch.Sums, s *Staged) (*manifest.Manifest, error) {
	if err := i.verifyDigest(r, got, s); err != nil {
		return nil, err
	}
	if len(i.cfg.TrustedKeys) == 0 {
		return nil, nil
	}
	m, err := i.verifySignature(ctx, r, s)
	if err != nil {
		return nil, err
	}
	if m.SHA256 != got.SHA256 || m.Size != got.Size {
		return nil, failure.New(failure.Digest, "package has %d bytes with SHA-256 %s, signed for %d bytes with %s",
			got.Size, got.SHA256, m.Size, m.SHA256)
	}
	s.Verified, s.Sum = BySignature, got.SHA256
	return &m, nil
}

// verifyDigest compares the package with the strongest digest in the request
// (CL-09).
func (i *Installer) verifyDigest(r Request, got fetch.Sums, s *Staged) error {
	s.Verified, s.Sum = ByNothing, got.SHA256
	want, kind := strings.TrimSpace(r.SHA256), "SHA-256"
	switch {
	case want != "":
		s.Verified = BySHA256
	case len(i.cfg.TrustedKeys) > 0: // the signature is checked, and stronger than MD5
		return nil
	case i.cfg.RequireSHA256:
		return failure.New(failure.Digest, "package has no SHA-256 to compare with, upgrade.require_sha256 demands one")
	case strings.TrimSpace(r.MD5) != "":
		want, kind = strings.TrimSpace(r.MD5), "MD5"
		s.Verified, s.Sum = ByMD5, got.MD5
	default:
		return nil
	}
	if !strings.EqualFold(want, s.Sum) {
		return failure.New(failure.Digest, "package has %s %s, expected %q", kind, s.Sum, want)
	}
	return nil
}

// verifySignature finds the signed manifest and checks its signature, expiry and
// sequence.
func (i *Installer) verifySignature(ctx context.Context, r Request, s *Staged) (manifest.Manifest, error) {
	text := []byte(r.Manifest)
	if r.Manifest == "" {
		var err error
		if text, err = i.fetchSignature(ctx, r.Source, s.signaturePath()); err != nil {
			return manifest.Manifest{}, err
		}
	}
	m, key, err := manifest.Verify(text, i.cfg.TrustedKeys)
	if err != nil {
		return m, failure.New(failure.Signature, "verify signature: %w", err)
	}
	if m.Expired(i.cfg.Now()) {
		return m, failure.New(failure.Signature, "the signature of %s %s has expired", m.Name, m.Version)
	}
	if err := i.cfg.checkSequence(ctx, m.Name, m.Version, "", m.Sequence); err != nil {
		return m, err
	}
	s.Key, s.Sequence = key.ID(), m.Sequence
	return m, nil
}

// fetchSignature fetches PACKAGE.sig into a new file and returns its content.
func (i *Installer) fetchSignature(ctx context.Context, source, to string) ([]byte, error) {
	if _, err := i.sig.Fetch(ctx, signatureSource(source), to, nil); err != nil {
		var e *failure.Error
		if errors.As(err, &e) && e.Reason != failure.Storage {
			return nil, failure.New(failure.Signature, "package is not signed, or its signature cannot be fetched: %w", e.Err)
		}
		return nil, err
	}
	text, err := os.ReadFile(to)
	if err != nil {
		return nil, failure.Because(failure.Storage, fmt.Errorf("read signature: %w", err))
	}
	return text, nil
}

// signatureSource returns the source of PACKAGE.sig. A query of a URL stays
// behind the path.
func signatureSource(source string) string {
	if u, err := url.Parse(source); err == nil && fetch.IsRemote(source) {
		if u.RawPath != "" {
			u.RawPath += ".sig"
		}
		u.Path += ".sig"
		return u.String()
	}
	return source + ".sig"
}

// Trusts returns an error if the unpacked package in a version's folder may not
// be installed without fetching it again. Where keys are trusted, one of them
// must have signed its package, with a sequence not below the last accepted one.
// Otherwise an attacker could have an older version run again.
func (i *Installer) Trusts(ctx context.Context, name, version string) error {
	if len(i.cfg.TrustedKeys) == 0 {
		return nil
	}
	o := parseOrigin(readOrigin(layout.Version(i.cfg.Root, name, version)), name, version)
	trusted := slices.ContainsFunc(i.cfg.TrustedKeys, func(k manifest.PublicKey) bool { return k.ID() == o.Key })
	if o.Verified != BySignature || !trusted {
		return failure.New(failure.Signature, "the unpacked %s %s is not from a package that a trusted key signed", name, version)
	}
	return i.cfg.checkSequence(ctx, name, version, "unpacked ", o.Sequence)
}

// CheckSequence fails for a signed package if one with a higher sequence was
// accepted since it was staged.
func (s *Staged) CheckSequence(ctx context.Context) error {
	if s.Key == "" {
		return nil
	}
	return s.cfg.checkSequence(ctx, s.Config.Name, s.Config.Version, "", s.Sequence)
}

// checkSequence fails for a sequence below the last accepted one.
func (cfg Config) checkSequence(ctx context.Context, name, version, what string, sequence uint64) error {
	last, err := cfg.Accepted.LastSequence(ctx, name)
	if err != nil {
		return failure.New(failure.Storage, "read the last accepted sequence of %s: %w", name, err)
	}
	if sequence < last {
		return failure.New(failure.Signature, "%s%s %s is a replay: its sequence is %d, %d was accepted before", what, name, version, sequence, last)
	}
	return nil
}
