// Package pkgcheck holds the rules for the content of a plugin package. Hosts use it
// before and while they unpack a package, the control plane at upload. So both refuse
// the same packages, in the same words.
//
// A package is a zip that is not trusted (CL-13). Check reads its list of
// entries and its config.json, and refuses:
//
//   - names that leave the package or are not unique, entries that are not
//     plain files and folders, more entries, bytes or compression than Limits;
//   - a config.json that is missing, malformed, or not acceptable: its name,
//     version, osType, arch and runPath, and the executable that it names (CL-11);
//   - where that is our shim, a service.yaml that is missing or wrong (AP-12);
//   - a script among its programs whose first line no host can run: it ends in
//     CR LF, or its interpreter is not an absolute path (AP-11).
//
// Entries that macOS adds to a zip, __MACOSX/ and .DS_Store, are left out.
//
// A zip may hold damaged content, or more of it than it declares. Only reading it
// shows that: Package.ReadFiles refuses it then.
//
// The host itself checks whether the package is for it, is the requested one, and is
// signed.
package pkgcheck

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"pluginsupervisor/internal/record"
	"pluginsupervisor/internal/service"
)

// Limits bounds the content of a package. Zero means the default.
type Limits struct {
	Size    int64 // of all files together, in bytes
	Entries int   // files and folders
	Ratio   int64 // bytes unpacked for one byte of the package
}

// DefaultLimits returns the limits of a host without configured ones.
func DefaultLimits() Limits { return Limits{Size: 512 << 20, Entries: 10_000, Ratio: 200} }

// WithDefaults returns the limits with the default for each that is not positive.
func (l Limits) WithDefaults() Limits {
	d := DefaultLimits()
	if l.Size > 0 {
		d.Size = l.Size
	}
	if l.Entries > 0 {
		d.Entries = l.Entries
	}
	if l.Ratio > 0 {
		d.Ratio = l.Ratio
	}
	return d
}

// Reason is the kind of rule that a package breaks.
type Reason int

// The reasons.
const (
	NotZip        Reason = iota + 1 // the bytes are not a zip
	BadEntry                        // an entry is refused, a limit exceeded, or the content damaged (CL-13)
	BadConfig                       // config.json is not JSON of the right shape (CL-11)
	NotAcceptable                   // config.json is missing, or what it says is not acceptable (CL-11)
)

// Error means that the package breaks a rule.
type Error struct {
	Reason Reason
	Err    error

	Name, Version string // of the package, where its config.json could be read
}

// Error returns the text that hosts and control plane share.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the wrapped error.
func (e *Error) Unwrap() error { return e.Err }

func newError(r Reason, format string, args ...any) error {
	return &Error{Reason: r, Err: fmt.Errorf(format, args...)}
}

// Package is a package that passed Check.
type Package struct {
	Config   record.PackageConfig
	Service  *service.Service // of a package whose executable is our shim; else nil
	Scripts  []Script         // its executable and the programs of Service that are scripts
	OS, Arch string           // of the hosts that it is for: osType and arch in lower case, "both" and "all" for any
	Top      string           // the folder that holds all entries, "" for none
	Folders  []string         // parents before children
	Files    []*zip.File      // Mode returns the mode of one
}

// Check reads the package of that size in bytes and returns it if it breaks no rule. A
// broken rule is an *Error; any other error is one of reading the archive.
func Check(archive io.ReaderAt, size int64, limits Limits) (*Package, error) {
	limits = limits.WithDefaults()
	z, err := openZip(archive, size, limits)
	if err != nil {
		return nil, err
	}
	p := &Package{}
	entries := withoutMacFiles(z.File)
	if p.Folders, p.Files, err = checkEntries(entries, size, limits); err != nil {
		return nil, err
	}
	p.Top = topFolder(entries)
	if p.Config, err = p.readConfig(); err != nil {
		return nil, err
	}
	err = p.checkConfig()
	if err == nil {
		err = p.checkService()
	}
	if err == nil {
		err = p.readScripts()
	}
	if err != nil {
		if refusal, ok := errors.AsType[*Error](err); ok {
			refusal.Name, refusal.Version = p.Config.Name, p.Config.Version
		}
		return nil, err
	}
	return p, nil
}

// bytesPerEntry is the share of one entry in the bound of a zip's list of entries. An
// entry takes 46 bytes and its name: many with long names are allowed, millions of
// short ones would fill the memory before they are counted.
const bytesPerEntry = 512

// openZip reads the list of entries, and no more of it than the limit of entries
// needs.
func openZip(r io.ReaderAt, size int64, limits Limits) (*zip.Reader, error) {
	bounded := &boundedReader{ReaderAt: r, left: int64(limits.Entries)*bytesPerEntry + 256<<10}
	z, err := zip.NewReader(bounded, size)
	switch {
	case err == nil, errors.Is(err, zip.ErrInsecurePath): // checkName has a stricter rule
		bounded.left = -1 // the content has its own bounds
		return z, nil
	case errors.Is(err, errDirectory):
		return nil, newError(BadEntry, "package has more than %d entries: %w", limits.Entries, err)
	case isDiskError(err):
		return nil, fmt.Errorf("read package: %w", err)
	default:
		return nil, newError(NotZip, "package is not a zip file")
	}
}

// isDiskError reports whether an error comes from reading a file, not from its content.
func isDiskError(err error) bool {
	var disk *fs.PathError
	return errors.As(err, &disk)
}

var errDirectory = errors.New("central directory is too large")

// boundedReader returns errDirectory after that many bytes.
type boundedReader struct {
	io.ReaderAt
	left int64 // bytes that may be read; negative: any
}

func (b *boundedReader) ReadAt(p []byte, off int64) (int, error) {
	if b.left >= 0 {
		if int64(len(p)) > b.left {
			return 0, errDirectory
		}
		b.left -= int64(len(p))
	}
	return b.ReaderAt.ReadAt(p, off)
}
