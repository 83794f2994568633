// Package install turns the source of a plugin package into a version folder:
// fetched, verified, unpacked, checked, and put in its place in one step (SPEC
// 11). It has no policy and runs no plugin.
//
// Everything happens in a folder of its own under BASE/supervisor/staging, on
// the file system of the plugins:
//
//	fetch   → package.zip, digested as it comes; a download in a folder of its
//	          own, which stays when it breaks off, to go on later (UP-14)
//	verify  → size, SHA-256 or MD5, and the signature where keys are trusted
//	check   → what it holds (pkgcheck), and that it is what was asked for and
//	          signed, and for this host (CL-11, CL-13)
//	unpack  → package/
//	note    → .origin.json: by what it was verified, for later lives to tell
//
// Stage does these; nothing outside staging has changed then. Staged.Place
// renames the result to BASE/plugin/<name>/<version>, or exchanges it with what
// is there, so that at every moment the folder is whole, the old or the new.
// Whatever fails, the staging folder is removed. What a killed process leaves is
// removed by Sweep: a living one holds a flock on its folder. A process may hand
// a staging folder over to another one (Staged.HandOver), which verifies it anew.
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

// Config tells where packages go and what is demanded of them.
type Config struct {
	Root     string // BASE
	OS, Arch string // of this host, in the words of SPEC 3 or Go's

	Fetch  fetch.Config
	Limits pkgcheck.Limits

	RequireSHA256 bool                 // refuse what is verified by less
	TrustedKeys   []manifest.PublicKey // any: refuse what none of them signed
	Accepted      Sequences            // needed with TrustedKeys

	Now  func() time.Time // nil: time.Now
	Step failpoint.Step   // asked before each change to a file; also goes to Fetch
}

// Sequences remembers the highest sequence of a signed manifest that was
// accepted, for each plugin; 0 is none. Who puts a package in place remembers
// Staged.Sequence.
type Sequences interface {
	LastSequence(ctx context.Context, name string) (uint64, error)
}

// Request is one package wanted.
type Request struct {
	Source        string // path, file://, http:// or https:// URL
	Name, Version string // what the package must be; "" is any
	SHA256, MD5   string // as offered, hex in any case; "" is not offered
	Manifest      string // signed manifest as offered; "": PACKAGE.sig beside the source, where keys are trusted
	Progress      fetch.Progress

	// Resume keeps what came of a download that breaks off, and goes on with
	// what an earlier process kept of it.
	Resume bool
	// HandOver keeps the package itself until Discard, for Staged.HandOver and
	// Staged.Archive.
	HandOver bool
	// Staged is the folder that another process has handed over, "" for none.
	// Where it cannot be used, Source is.
	Staged string
}

// ID returns what tells this package from another one of the same name and
// version: a short digest of where it is and of what it is said to be.
func (r Request) ID() string { return fingerprint(r.Source, r.SHA256, r.MD5, r.Manifest) }

func fingerprint(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:16])
}

// Installer stages packages under one root. It may be used by several at once,
// also in several processes.
type Installer struct {
	cfg   Config
	fetch *fetch.Fetcher
	sig   *fetch.Fetcher // for what is beside a package
}

// New makes an Installer. It touches no file.
func New(cfg Config) (*Installer, error) {
	if cfg.Root == "" {
		return nil, fmt.Errorf("install: no root")
	}
	if len(cfg.TrustedKeys) > 0 && cfg.Accepted == nil {
		return nil, fmt.Errorf("install: keys are trusted, but nothing remembers the accepted sequences")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.Limits = cfg.Limits.WithDefaults()
	if cfg.Fetch.MaxSize == 0 {
		cfg.Fetch.MaxSize = cfg.Limits.Size // a package larger than what it may hold is of no use
	}
	cfg.Fetch.Step = cfg.Step
	small := cfg.Fetch
	small.MaxSize = manifest.MaxSize
	return &Installer{cfg: cfg, fetch: fetch.New(cfg.Fetch), sig: fetch.New(small)}, nil
}

// Close ends idle connections.
func (i *Installer) Close() {
	i.fetch.Close()
	i.sig.Close()
}

// Stage fetches, verifies, unpacks and checks a package. The caller ends what it
// gets with Discard, also after Place. After an error nothing is left but the
// part of a download that a later call goes on with.
func (i *Installer) Stage(ctx context.Context, r Request) (*Staged, error) {
	if r.Staged == "" {
		return i.stage(ctx, r)
	}
	s, refused := i.adopt(ctx, r)
	if refused == nil {
		return i.filled(s, i.check(ctx, s.handed(r), s))
	}
	s, err := i.stage(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("%w (what was handed over cannot be used: %w)", err, refused)
	}
	return s, nil
}

// stage is Stage of what is at the source.
func (i *Installer) stage(ctx context.Context, r Request) (*Staged, error) {
	dir, err := i.newFolder(ctx)
	if err != nil {
		return nil, err
	}
	s := i.newStaged(dir)
	if s.sums, err = i.fetchTo(ctx, r, s.Archive()); err == nil {
		err = i.check(ctx, r, s)
	}
	return i.filled(s, err)
}

func (i *Installer) newStaged(f *folder) *Staged {
	return &Staged{cfg: i.cfg, folder: f, Dir: filepath.Join(f.path, "package")}
}

// filled returns what is staged, or removes it after an error.
func (i *Installer) filled(s *Staged, err error) (*Staged, error) {
	if err == nil {
		return s, nil
	}
	if removed := s.Discard(); removed != nil {
		return nil, fmt.Errorf("%w (and %w)", err, removed)
	}
	return nil, err
}

// check verifies, checks and unpacks the package that is in a staging folder.
func (i *Installer) check(ctx context.Context, r Request, s *Staged) error {
	s.Size, s.MD5 = s.sums.Size, s.sums.MD5
	signed, err := i.verify(ctx, r, s.sums, s)
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
	if err := i.unpack(ctx, p, s.Dir); err != nil {
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

// unpack makes the folder dir and writes the package into it.
func (i *Installer) unpack(ctx context.Context, p *pkgcheck.Package, dir string) error {
	if err := i.cfg.Step.Before("mkdir package"); err != nil {
		return failure.Because(failure.Storage, err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return failure.Because(failure.Storage, err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // whatever the umask
		return failure.Because(failure.Storage, err)
	}
	return packageFailure(unpack.Unpack(ctx, p, dir, i.cfg.Step))
}

// Staged is a package that may be put in place.
type Staged struct {
	Config record.PackageConfig
	Dir    string // the unpacked package
	ID     string // of the request that it came by

	Size     int64    // of the package, in bytes
	Verified Verified // by what it was
	Sum      string   // lower-case hex: the MD5 where Verified is ByMD5, else the SHA-256
	MD5      string   // of the package, lower-case hex
	Key      string   // id of the trusted key that signed it; "": none did
	Sequence uint64   // of the signed manifest; to be remembered once in place

	cfg    Config
	folder *folder
	sums   fetch.Sums

	placed    string // the version's folder, once it is in place
	exchanged bool   // with another folder, see layout.Replaced
	keeps     bool   // that folder, beyond Discard
}

// StagingID tells this package from every other one that was staged, also from the same
// package that was staged before.
func (s *Staged) StagingID() string {
	if s.folder == nil {
		return ""
	}
	return filepath.Base(s.folder.path)
}

// Archive returns the path of the package as it came. With Request.HandOver it is
// there until Discard.
func (s *Staged) Archive() string { return filepath.Join(s.folder.path, fetch.Data) }

// signature is its PACKAGE.sig.
func (s *Staged) signature() string { return filepath.Join(s.folder.path, "package.sig") }
