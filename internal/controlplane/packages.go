package controlplane

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"pluginsupervisor/internal/controlplane/depot"
	"pluginsupervisor/internal/pkgcheck"
	"pluginsupervisor/internal/platform"
	"pluginsupervisor/plugin"
)

// Package is a version of a plugin that hosts can get here (CP-06).
type Package struct {
	Name     string    `json:"name"`
	Version  string    `json:"version"`
	OS       string    `json:"os"`   // linux, windows, freebsd, or both for any
	Arch     string    `json:"arch"` // x64, x86, arm, or all for any
	Size     int64     `json:"size"` // bytes
	SHA256   string    `json:"sha256"`
	MD5      string    `json:"md5"`                // for hosts that know nothing better
	Manifest string    `json:"manifest,omitempty"` // signed; who made the package signed it, we do not read it
	Uploaded time.Time `json:"uploaded"`

	record json.RawMessage // what config.json says, as hosts record it
}

// newPackage checks what has arrived and returns it as a package. Where a host
// with the default limits would refuse it, the error is a fault in that host's
// words: both check with package pkgcheck.
func newPackage(ctx context.Context, in *depot.Incoming, at time.Time) (Package, error) {
	checked, err := pkgcheck.Check(in, in.Size, pkgcheck.DefaultLimits())
	if err == nil {
		err = checked.CheckContent(ctx)
	}
	var refusal *pkgcheck.Error
	switch {
	case errors.As(err, &refusal):
		return Package{}, badf("%v", refusal)
	case err != nil:
		return Package{}, err
	}
	p := Package{
		Name: checked.Config.Name, Version: checked.Config.Version, OS: checked.OS, Arch: checked.Arch,
		Size: in.Size, SHA256: in.SHA256, MD5: in.MD5, Uploaded: at,
	}
	r := checked.Config.Record()
	r.OSType, r.Arch, r.MD5 = p.OS, p.Arch, p.MD5
	if p.record, err = r.Encode(); err != nil {
		return Package{}, fmt.Errorf("encode record: %w", err)
	}
	return p, nil
}

// path is where the package is served. It names the bytes, so that what is
// there never changes: a package that replaces this one is elsewhere.
func (p Package) path() string {
	return "/packages/" + p.Name + "/" + p.Version + "/" + p.SHA256 + ".zip"
}

// before orders packages by name, the newest version of each first, and what is
// made for one system before what is for any.
func before(a, b Package) int {
	return cmp.Or(
		strings.Compare(a.Name, b.Name),
		plugin.CompareVersions(b.Version, a.Version),
		strings.Compare(b.Version, a.Version), // 1.0 and 1.00 are the same version
		cmp.Compare(rank(a.OS, platform.AnyOS), rank(b.OS, platform.AnyOS)), strings.Compare(a.OS, b.OS),
		cmp.Compare(rank(a.Arch, platform.AnyArch), rank(b.Arch, platform.AnyArch)), strings.Compare(a.Arch, b.Arch))
}

func rank(word, general string) int {
	if word == general {
		return 1
	}
	return 0
}

const selectPackages = `SELECT name, version, os, arch, sha256, md5, size, record, manifest, uploaded FROM packages `

func scanPackage(r *sql.Rows) (p Package, err error) {
	var uploaded int64
	var record string
	err = r.Scan(&p.Name, &p.Version, &p.OS, &p.Arch, &p.SHA256, &p.MD5, &p.Size, &record, &p.Manifest, &uploaded)
	p.record, p.Uploaded = json.RawMessage(record), milli(uploaded)
	return p, err
}

// Packages lists the packages of that name, or with "" all: by name, the newest
// version of each first.
func (s *Store) Packages(ctx context.Context, name string) ([]Package, error) {
	all, err := list(ctx, s.read, scanPackage, selectPackages+`WHERE ?1 IN ('', name)`, name)
	if err != nil {
		return nil, fmt.Errorf("read packages: %w", err)
	}
	slices.SortFunc(all, before)
	return all, nil
}

// AddPackage keeps a package that has arrived, and tells whether it is new. One
// that is there already stays as it is, but for a manifest it lacked. Other
// bytes, or another manifest, for the same name, version, os and arch are a
// fault unless they are to replace what is there.
func (s *Store) AddPackage(ctx context.Context, p Package, in *depot.Incoming, replace bool) (kept Package, added bool, err error) {
	s.packageMu.Lock()
	defer s.packageMu.Unlock()
	// What is begun is finished: a client that goes away now must not leave
	// open whether the file is wanted.
	ctx = context.WithoutCancel(ctx)
	has, err := list(ctx, s.read, scanPackage, selectPackages+`WHERE name = ? AND version = ? AND os = ? AND arch = ?`,
		p.Name, p.Version, p.OS, p.Arch)
	if err != nil {
		return Package{}, false, fmt.Errorf("read package: %w", err)
	}
	var old Package
	if len(has) > 0 {
		old = has[0]
		if p, err = succeed(old, p, replace); err != nil {
			return Package{}, false, err
		}
	}
	// Also when it is there: should the file be lost, it is back.
	if err = in.Keep(); err == nil {
		err = s.putPackage(ctx, p)
	}
	if err != nil {
		if p.SHA256 != old.SHA256 {
			err = errors.Join(err, s.depot.Remove(p.SHA256))
		}
		return Package{}, false, err
	}
	if old.SHA256 != "" && old.SHA256 != p.SHA256 {
		if err := s.depot.Remove(old.SHA256); err != nil {
			return Package{}, false, fmt.Errorf("remove file of the package before: %w", err)
		}
	}
	return p, p.SHA256 != old.SHA256, nil
}

// succeed is what becomes of the old package when the new one comes.
func succeed(old, p Package, replace bool) (Package, error) {
	what := fmt.Sprintf("%s %s for %s/%s", p.Name, p.Version, p.OS, p.Arch)
	switch {
	case replace && old.SHA256 != p.SHA256:
		return p, nil
	case old.SHA256 != p.SHA256:
		return p, fault{http.StatusConflict, what + " is there with other content; it changes only when told to replace it"}
	case p.Manifest == "" || p.Manifest == old.Manifest:
		return old, nil
	case old.Manifest != "" && !replace:
		return p, fault{http.StatusConflict, what + " is there with another manifest; it changes only when told to replace it"}
	}
	old.Manifest = p.Manifest
	return old, nil
}

func (s *Store) putPackage(ctx context.Context, p Package) error {
	return s.writer.do(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO packages (name, version, os, arch, sha256, md5, size, record, manifest, uploaded)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			p.Name, p.Version, p.OS, p.Arch, p.SHA256, p.MD5, p.Size, string(p.record), p.Manifest, p.Uploaded.UnixMilli())
		if err != nil {
			return fmt.Errorf("write package: %w", err)
		}
		return nil
	})
}

// Removal says which packages go: those of a name and version, only those for
// one os or arch where it names them.
type Removal struct {
	Name, Version, OS, Arch string
	Force                   bool // also when the version is offered
}

// RemovePackages removes packages and their files and tells how many they
// were. A version that is offered stays, which is a fault, unless forced.
func (s *Store) RemovePackages(ctx context.Context, r Removal) (int, error) {
	s.packageMu.Lock()
	defer s.packageMu.Unlock()
	var files []string
	err := s.writer.do(context.WithoutCancel(ctx), func(ctx context.Context, tx *sql.Tx) (err error) {
		files, err = removeRows(ctx, tx, r)
		return err
	})
	if err != nil {
		return 0, err
	}
	var errs []error
	for _, sha256 := range files {
		errs = append(errs, s.depot.Remove(sha256))
	}
	if err := errors.Join(errs...); err != nil {
		return len(files), fmt.Errorf("remove package's file: %w", err)
	}
	return len(files), nil
}

func removeRows(ctx context.Context, tx *sql.Tx, r Removal) (files []string, err error) {
	rows, err := tx.QueryContext(ctx, `DELETE FROM packages WHERE name = ? AND version = ? AND ? IN ('', os) AND ? IN ('', arch) RETURNING sha256`,
		r.Name, r.Version, r.OS, r.Arch)
	if err != nil {
		return nil, fmt.Errorf("delete packages: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var sha256 string
		if err := rows.Scan(&sha256); err != nil {
			return nil, fmt.Errorf("delete packages: %w", err)
		}
		files = append(files, sha256)
	}
	if err := rows.Err(); err != nil || len(files) == 0 || r.Force {
		return files, err
	}
	var offers int
	err = tx.QueryRowContext(ctx, `SELECT count(*) FROM offers WHERE name = ? AND version = ?`, r.Name, r.Version).Scan(&offers)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read offers: %w", err)
	case offers > 0:
		return nil, fault{http.StatusConflict, fmt.Sprintf("%s %s is offered: withdraw the offer first", r.Name, r.Version)}
	}
	return files, nil
}

// keepPackages opens the folder of the packages' files and clears away what no
// package needs: a file is named before its package is committed, and removed
// after its package is.
func (s *Store) keepPackages(ctx context.Context, dir string) (err error) {
	if s.depot, err = depot.Open(ctx, dir); err != nil {
		return fmt.Errorf("open packages: %w", err)
	}
	all, err := s.Packages(ctx, "")
	if err != nil {
		return err
	}
	wanted := map[string]bool{}
	for _, p := range all {
		wanted[p.SHA256] = true
	}
	if err := s.depot.Sweep(wanted); err != nil {
		return fmt.Errorf("sweep packages: %w", err)
	}
	return nil
}
