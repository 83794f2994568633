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

// Verified is by what the bytes of a package were verified.
type Verified = plugin.Verified

// From the best to none.
const (
	BySignature = plugin.BySignature
	BySHA256    = plugin.BySHA256
	ByMD5       = plugin.ByMD5
	ByNothing   = plugin.ByNothing
)

// verify judges what was fetched. The manifest is nil when none is demanded.
func (i *Installer) verify(ctx context.Context, r Request, got fetch.Sums, s *Staged) (*manifest.Manifest, error) {
	if err := i.verifySum(r, got, s); err != nil {
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
		return nil, failure.New(failure.Digest, "package has %d bytes with SHA-256 %s, signed were %d with %s",
			got.Size, got.SHA256, m.Size, m.SHA256)
	}
	s.Verified, s.Sum = BySignature, got.SHA256
	return &m, nil
}

// verifySum goes by the best sum that is offered (CL-09).
func (i *Installer) verifySum(r Request, got fetch.Sums, s *Staged) error {
	s.Verified, s.Sum = ByNothing, got.SHA256
	want, kind := strings.TrimSpace(r.SHA256), "SHA-256"
	switch {
	case want != "":
		s.Verified = BySHA256
	case len(i.cfg.TrustedKeys) > 0: // the signature will tell, and better than MD5
		return nil
	case i.cfg.RequireSHA256:
		return failure.New(failure.Digest, "package comes without a SHA-256, which is required")
	case strings.TrimSpace(r.MD5) != "":
		want, kind = strings.TrimSpace(r.MD5), "MD5"
		s.Verified, s.Sum = ByMD5, got.MD5
	default:
		return nil
	}
	if !strings.EqualFold(want, s.Sum) {
		return failure.New(failure.Digest, "package has %s %s, offered was %q", kind, s.Sum, want)
	}
	return nil
}

// verifySignature finds the signed manifest and judges all but the package.
func (i *Installer) verifySignature(ctx context.Context, r Request, s *Staged) (manifest.Manifest, error) {
	text := []byte(r.Manifest)
	if r.Manifest == "" {
		var err error
		if text, err = i.beside(ctx, r.Source, s.signature()); err != nil {
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

// beside fetches PACKAGE.sig to a new file and reads it.
func (i *Installer) beside(ctx context.Context, source, to string) ([]byte, error) {
	if _, err := i.sig.Fetch(ctx, sigOf(source), to, nil); err != nil {
		var e *failure.Error
		if errors.As(err, &e) && e.Reason != failure.Storage {
			return nil, failure.New(failure.Signature, "package is not signed, or its signature cannot be had: %w", e.Err)
		}
		return nil, err
	}
	text, err := os.ReadFile(to)
	if err != nil {
		return nil, failure.Because(failure.Storage, fmt.Errorf("read signature: %w", err))
	}
	return text, nil
}

// sigOf is the source of PACKAGE.sig; a query stays where it is.
func sigOf(source string) string {
	if u, err := url.Parse(source); err == nil && fetch.Remote(source) {
		if u.RawPath != "" {
			u.RawPath += ".sig"
		}
		u.Path += ".sig"
		return u.String()
	}
	return source + ".sig"
}

// Trusts returns why what lies unpacked in a version's folder may not be
// installed as it is, or nil. Where keys are trusted it must be of a package that
// one of them signed, with a sequence not below the last accepted one: otherwise
// whoever offers it could have an older one run again.
func (i *Installer) Trusts(ctx context.Context, name, version string) error {
	if len(i.cfg.TrustedKeys) == 0 {
		return nil
	}
	o := originOf(readOrigin(layout.Version(i.cfg.Root, name, version)), name, version)
	trusted := slices.ContainsFunc(i.cfg.TrustedKeys, func(k manifest.PublicKey) bool { return k.ID() == o.Key })
	if o.Verified != BySignature || !trusted {
		return failure.New(failure.Signature, "the unpacked %s %s is of no package that a trusted key signed", name, version)
	}
	return i.cfg.checkSequence(ctx, name, version, "unpacked ", o.Sequence)
}

// CheckSequence refuses a signed package when one with a higher sequence was
// accepted since it was staged.
func (s *Staged) CheckSequence(ctx context.Context) error {
	if s.Key == "" {
		return nil
	}
	return s.cfg.checkSequence(ctx, s.Config.Name, s.Config.Version, "", s.Sequence)
}

// checkSequence refuses a lower sequence than the last accepted one.
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
