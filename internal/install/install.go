// Package install turns the source of a plugin package into a version folder: it
// fetches, verifies, checks and unpacks the package, and puts it in place in one
// step (SPEC 11). It makes no decisions and runs no plugin.
//
// Each package gets its own folder under BASE/supervisor/staging, on the file
// system of the plugins:
//
//	fetch   → package.zip, digested while it arrives; an interrupted download
//	          stays in a folder of its own and is resumed later (UP-14)
//	verify  → size, SHA-256 or MD5, and the signature where keys are trusted
//	check   → the content (pkgcheck); name, version and platform against the
//	          request, the signature and this host (CL-11, CL-13)
//	unpack  → package/
//	record  → .origin.json: how the package was verified, for later starts
//
// Stage does these and changes nothing outside staging. Staged.Place then renames
// the result to BASE/plugin/<name>/<version>, or exchanges it with the existing
// folder, so that the version's folder is always complete: the old or the new.
// After an error the staging folder is removed. Each process holds a flock on its
// folders; Sweep removes the folders that a killed process left. A process may
// hand a staging folder over to another one (Staged.HandOver), which verifies the
// package again.
//
// Errors are *failure.Error, with a reason and the exit code of the command line.
package install

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"pluginsupervisor/internal/failpoint"
	"pluginsupervisor/internal/install/failure"
	"pluginsupervisor/internal/install/fetch"
	"pluginsupervisor/internal/install/manifest"
	"pluginsupervisor/internal/install/unpack"
	"pluginsupervisor/internal/pkgcheck"
	"pluginsupervisor/internal/record"
)

// Config holds the folder where packages are placed and the requirements they
// must meet.
type Config struct {
	Root     string // BASE
	OS, Arch string // of this host, in the terms of SPEC 3 or of Go

	Fetch  fetch.Config
	Limits pkgcheck.Limits

	RequireSHA256 bool                 // refuse packages without a SHA-256
	TrustedKeys   []manifest.PublicKey // if any: refuse packages that none of them signed
	Accepted      Sequences            // required with TrustedKeys

	Now  func() time.Time // nil: time.Now
	Step failpoint.Step   // called before each change to a file; also passed to Fetch
}

// Sequences returns the highest accepted sequence of a signed manifest of each
// plugin, 0 for none. The caller of Place saves Staged.Sequence.
type Sequences interface {
	LastSequence(ctx context.Context, name string) (uint64, error)
}

// Request names the package to install.
type Request struct {
	Source        string // path, file://, http:// or https:// URL
	Name, Version string // required of the package; "" accepts any
	SHA256, MD5   string // expected digests, hex in any case; "": unknown
	Manifest      string // signed manifest; "": PACKAGE.sig beside the source, where keys are trusted
	Progress      fetch.Progress

	// Resume keeps the received part of an interrupted download, and resumes from
	// the part that an earlier process kept.
	Resume bool
	// HandOver keeps the package itself until Discard, for Staged.HandOver and
	// Staged.Archive.
	HandOver bool
	// Staged is the name of a folder that another process handed over, "" for
	// none. If it cannot be used, Source is.
	Staged string
}

// ID returns a short digest of the source, the expected digests and the manifest.
// It distinguishes packages of the same name and version.
func (r Request) ID() string { return shortDigest(r.Source, r.SHA256, r.MD5, r.Manifest) }

func shortDigest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:16])
}

// Installer stages packages under one root. It is safe for concurrent use, also
// by several processes.
type Installer struct {
	cfg   Config
	fetch *fetch.Fetcher
	sig   *fetch.Fetcher // for PACKAGE.sig
}

// New makes an Installer. It accesses no file.
func New(cfg Config) (*Installer, error) {
	if cfg.Root == "" {
		return nil, fmt.Errorf("install: no root")
	}
	if len(cfg.TrustedKeys) > 0 && cfg.Accepted == nil {
		return nil, fmt.Errorf("install: TrustedKeys is set without Accepted")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.Limits = cfg.Limits.WithDefaults()
	if cfg.Fetch.MaxSize == 0 {
		cfg.Fetch.MaxSize = cfg.Limits.Size // a package is not larger than its content
	}
	cfg.Fetch.Step = cfg.Step
	small := cfg.Fetch
	small.MaxSize = manifest.MaxSize
	return &Installer{cfg: cfg, fetch: fetch.New(cfg.Fetch), sig: fetch.New(small)}, nil
}

// Close closes idle connections.
func (i *Installer) Close() {
	i.fetch.Close()
	i.sig.Close()
}

// Stage fetches, verifies, checks and unpacks a package. The caller calls Discard
// on the result, also after Place. After an error nothing is left except a
// partial download that a later call resumes.
func (i *Installer) Stage(ctx context.Context, r Request) (*Staged, error) {
	if r.Staged == "" {
		return i.stageSource(ctx, r)
	}
	s, unusable := i.openHandedOver(ctx, r)
	if unusable == nil {
		return i.discardOnError(s, i.checkPackage(ctx, s.addSignature(r), s))
	}
	s, err := i.stageSource(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("%w (and the staged package cannot be used: %w)", err, unusable)
	}
	return s, nil
}

// stageSource stages the package at r.Source.
func (i *Installer) stageSource(ctx context.Context, r Request) (*Staged, error) {
	dir, err := i.makeStagingFolder(ctx)
	if err != nil {
		return nil, err
	}
	s := i.newStaged(dir)
	if s.sums, err = i.fetchTo(ctx, r, s.Archive()); err == nil {
		err = i.checkPackage(ctx, r, s)
	}
	return i.discardOnError(s, err)
}

func (i *Installer) newStaged(f *folder) *Staged {
	return &Staged{cfg: i.cfg, folder: f, Dir: filepath.Join(f.path, "package")}
}

// discardOnError returns the staged package, or discards it if err is not nil.
func (i *Installer) discardOnError(s *Staged, err error) (*Staged, error) {
	if err == nil {
		return s, nil
	}
	if removed := s.Discard(); removed != nil {
		return nil, fmt.Errorf("%w (and %w)", err, removed)
	}
	return nil, err
}

// checkPackage verifies, checks and unpacks the package in a staging folder.
func (i *Installer) checkPackage(ctx context.Context, r Request, s *Staged) error {
	s.Size, s.MD5 = s.sums.Size, s.sums.MD5
	signed, err := i.verifyPackage(ctx, r, s.sums, s)
	if err != nil {
		return err
	}
	f, err := os.Open(s.Archive())
	if err != nil {
		return failure.Because(failure.Storage, err)
	}
	defer f.Close()
	p, err := pkgcheck.Check(f, s.Size, i.cfg.Limits)
	if err != nil {
		return packageFailure(err)
	}
	err = i.checkIdentity(p.Config, r, signed)
	if err == nil {
		err = checkAccount(p)
	}
	if err != nil {
		return failure.Of(p.Config.Name, p.Config.Version, err)
	}
	if err := i.unpackPackage(ctx, p, s.Dir); err != nil {
		return err
	}
	s.Config, s.Dir = p.Config, filepath.Join(s.Dir, p.Top)
	if err := s.writeOrigin(); err != nil {
		return failure.Because(failure.Storage, err)
	}
	s.ID = r.ID()
	if r.HandOver {
		return nil
	}
	if err := i.cfg.Step.Before("remove package"); err != nil {
		return failure.Because(failure.Storage, err)
	}
	return failure.Because(failure.Storage, os.Remove(s.Archive()))
}

// unpackPackage makes the folder dir and writes the package into it.
func (i *Installer) unpackPackage(ctx context.Context, p *pkgcheck.Package, dir string) error {
	if err := i.cfg.Step.Before("mkdir package"); err != nil {
		return failure.Because(failure.Storage, err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return failure.Because(failure.Storage, err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // the umask does not apply
		return failure.Because(failure.Storage, err)
	}
	return packageFailure(unpack.Unpack(ctx, p, dir, i.cfg.Step))
}

// Staged is a package that is ready to be put in place.
type Staged struct {
	Config record.PackageConfig
	Dir    string // the unpacked package
	ID     string // Request.ID

	Size     int64    // of the package, in bytes
	Verified Verified // how the package was verified
	Sum      string   // lower-case hex: the MD5 where Verified is ByMD5, else the SHA-256
	MD5      string   // of the package, lower-case hex
	Key      string   // id of the trusted key that signed it; "": none did
	Sequence uint64   // of the signed manifest; to be saved once the package is in place

	cfg    Config
	folder *folder
	sums   fetch.Sums

	placed       string // the version's folder, once the package is in place
	exchanged    bool   // Place replaced a folder, see layout.Replaced
	keepReplaced bool   // Discard leaves the replaced folder
}

// StagingID returns an id that is unique to this staging, also when the same
// package is staged twice.
func (s *Staged) StagingID() string {
	if s.folder == nil {
		return ""
	}
	return filepath.Base(s.folder.path)
}

// Archive returns the path of the package file. With Request.HandOver the file
// exists until Discard.
func (s *Staged) Archive() string { return filepath.Join(s.folder.path, fetch.Data) }

// signaturePath returns the path of the fetched PACKAGE.sig.
func (s *Staged) signaturePath() string { return filepath.Join(s.folder.path, "package.sig") }
