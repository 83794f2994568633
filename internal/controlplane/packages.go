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

	"pluginsupervisor/internal/controlplane/packagestore"
	"pluginsupervisor/internal/pkgcheck"
	"pluginsupervisor/internal/platform"
	"pluginsupervisor/plugin"
)

// Package is a version of a plugin that hosts can download (CP-06).
type Package struct {
	Name     string    `json:"name"`
	Version  string    `json:"version"`
	OS       string    `json:"os"`   // linux, windows, freebsd, or both for any
	Arch     string    `json:"arch"` // x64, x86, arm, or all for any
	Size     int64     `json:"size"` // bytes
	SHA256   string    `json:"sha256"`
	MD5      string    `json:"md5"`                // for hosts that know no SHA-256
	Manifest string    `json:"manifest,omitempty"` // signed by the package's author; the server does not read it
	Uploaded time.Time `json:"uploaded"`

	record json.RawMessage // of config.json, as hosts record it
}

// newPackage checks an uploaded package and returns it. Its error for a package
// that a host with the default limits rejects has the text of that host: both
// check with package pkgcheck.
func newPackage(ctx context.Context, in *packagestore.Incoming, at time.Time) (Package, error) {
	checked, err := pkgcheck.Check(in, in.Size, pkgcheck.DefaultLimits())
	if err == nil {
		err = checked.CheckContent(ctx)
	}
	var refusal *pkgcheck.Error
	switch {
	case errors.As(err, &refusal):
		return Package{}, badRequest("%v", refusal)
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

// urlPath returns the path of the package on this server. It contains the digest,
// so that its content never changes: a replacement has another path.
func (p Package) urlPath() string {
	return "/packages/" + p.Name + "/" + p.Version + "/" + p.SHA256 + ".zip"
}

// comparePackages sorts packages by name, the newest version of each first, and
// those for one system before those for any.
func comparePackages(a, b Package) int {
	return cmp.Or(
		strings.Compare(a.Name, b.Name),
		plugin.CompareVersions(b.Version, a.Version),
		strings.Compare(b.Version, a.Version), // 1.0 and 1.00 are the same version
		cmp.Compare(generalLast(a.OS, platform.AnyOS), generalLast(b.OS, platform.AnyOS)), strings.Compare(a.OS, b.OS),
		cmp.Compare(generalLast(a.Arch, platform.AnyArch), generalLast(b.Arch, platform.AnyArch)), strings.Compare(a.Arch, b.Arch))
}

func generalLast(value, general string) int {
	if value == general {
		return 1
	}
	return 0
}

const selectPackages = `SELECT name, version, os, arch, sha256, md5, size, record, manifest, uploaded FROM packages `

func scanPackage(r *sql.Rows) (p Package, err error) {
	var uploaded int64
	var record string
	err = r.Scan(&p.Name, &p.Version, &p.OS, &p.Arch, &p.SHA256, &p.MD5, &p.Size, &record, &p.Manifest, &uploaded)
	p.record, p.Uploaded = json.RawMessage(record), timeOfMillis(uploaded)
	return p, err
}

// ListPackages lists the packages of that name, or all for "", sorted by name and
// the newest version of each first.
func (s *Store) ListPackages(ctx context.Context, name string) ([]Package, error) {
	all, err := queryRows(ctx, s.read, scanPackage, selectPackages+`WHERE ?1 IN ('', name)`, name)
	if err != nil {
		return nil, fmt.Errorf("read packages: %w", err)
	}
	slices.SortFunc(all, comparePackages)
	return all, nil
}

// AddPackage stores an uploaded package and reports whether it is new. An existing
// one stays as it is, but gets a missing manifest. Other bytes, or another
// manifest, for the same name, version, os and arch are an error without replace.
func (s *Store) AddPackage(ctx context.Context, p Package, in *packagestore.Incoming, replace bool) (kept Package, added bool, err error) {
	s.packageMu.Lock()
	defer s.packageMu.Unlock()
	// A client that disconnects now must not leave a file without its row.
	ctx = context.WithoutCancel(ctx)
	has, err := queryRows(ctx, s.read, scanPackage, selectPackages+`WHERE name = ? AND version = ? AND os = ? AND arch = ?`,
		p.Name, p.Version, p.OS, p.Arch)
	if err != nil {
		return Package{}, false, fmt.Errorf("read package: %w", err)
	}
	var old Package
	if len(has) > 0 {
		old = has[0]
		if p, err = mergePackage(old, p, replace); err != nil {
			return Package{}, false, err
		}
	}
	// Also when it exists: this restores a lost file.
	if err = in.Keep(); err == nil {
		err = s.putPackage(ctx, p)
	}
	if err != nil {
		if p.SHA256 != old.SHA256 {
			err = errors.Join(err, s.files.Remove(p.SHA256))
		}
		return Package{}, false, err
	}
	if old.SHA256 != "" && old.SHA256 != p.SHA256 {
		if err := s.files.Remove(old.SHA256); err != nil {
			return Package{}, false, fmt.Errorf("remove file of the replaced package: %w", err)
		}
	}
	return p, p.SHA256 != old.SHA256, nil
}

// mergePackage returns the package to store when p is uploaded and old exists.
func mergePackage(old, p Package, replace bool) (Package, error) {
	what := fmt.Sprintf("%s %s for %s/%s", p.Name, p.Version, p.OS, p.Arch)
	switch {
	case replace && old.SHA256 != p.SHA256:
		return p, nil
	case old.SHA256 != p.SHA256:
		return p, requestError{http.StatusConflict, what + " exists with other content; choose replace to overwrite it"}
	case p.Manifest == "" || p.Manifest == old.Manifest:
		return old, nil
	case old.Manifest != "" && !replace:
		return p, requestError{http.StatusConflict, what + " exists with another manifest; choose replace to overwrite it"}
	}
	old.Manifest = p.Manifest
	return old, nil
}

func (s *Store) putPackage(ctx context.Context, p Package) error {
	return s.writer.applyChange(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO packages (name, version, os, arch, sha256, md5, size, record, manifest, uploaded)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			p.Name, p.Version, p.OS, p.Arch, p.SHA256, p.MD5, p.Size, string(p.record), p.Manifest, p.Uploaded.UnixMilli())
		if err != nil {
			return fmt.Errorf("write package: %w", err)
		}
		return nil
	})
}

// Removal selects the packages to remove: those of a name and version, and of an
// os and arch if given.
type Removal struct {
	Name, Version, OS, Arch string
	Force                   bool // also when the version is offered
}

// RemovePackages removes packages and their files and returns their number. An
// offered version is an error, unless forced.
func (s *Store) RemovePackages(ctx context.Context, r Removal) (int, error) {
	s.packageMu.Lock()
	defer s.packageMu.Unlock()
	var files []string
	err := s.writer.applyChange(context.WithoutCancel(ctx), func(ctx context.Context, tx *sql.Tx) (err error) {
		files, err = deletePackageRows(ctx, tx, r)
		return err
	})
	if err != nil {
		return 0, err
	}
	var errs []error
	for _, sha256 := range files {
		errs = append(errs, s.files.Remove(sha256))
	}
	if err := errors.Join(errs...); err != nil {
		return len(files), fmt.Errorf("remove file of a package: %w", err)
	}
	return len(files), nil
}

func deletePackageRows(ctx context.Context, tx *sql.Tx, r Removal) (files []string, err error) {
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
		return nil, requestError{http.StatusConflict, fmt.Sprintf("%s %s is offered: withdraw the offer first", r.Name, r.Version)}
	}
	return files, nil
}

// openPackageFiles opens the folder of the packages' files and removes those
// without a row: a file gets its name before its row is committed, and is removed
// after its row.
func (s *Store) openPackageFiles(ctx context.Context, dir string) (err error) {
	if s.files, err = packagestore.Open(ctx, dir); err != nil {
		return fmt.Errorf("open packages: %w", err)
	}
	all, err := s.ListPackages(ctx, "")
	if err != nil {
		return err
	}
	wanted := map[string]bool{}
	for _, p := range all {
		wanted[p.SHA256] = true
	}
	if err := s.files.RemoveUnwanted(wanted); err != nil {
		return fmt.Errorf("remove unused package files: %w", err)
	}
	return nil
}
