// Package unpack writes a zip into a folder, whole or not at all.
//
// The archive is not trusted (CL-13). All the central directory tells is judged
// before the first byte is written: names that leave the folder or mean two
// things, entries that are not plain files and folders, more entries, bytes or
// compression than the limits allow. What it may lie about, the true sizes, is
// counted while writing. Everything goes through an os.Root, so that even a name
// that slipped through could not leave the folder.
//
// The error is a *failure.Error: NotZip, Unzip or Storage. The folder is then
// half-written and the caller's to remove.
package unpack

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"pluginsupervisor/internal/durable"
	"pluginsupervisor/internal/failpoint"
	"pluginsupervisor/internal/install/failure"
)

// Limits bounds what a package may unpack to. Zero means the default.
type Limits struct {
	Size    int64 // of all files together, in bytes; 512 MiB
	Entries int   // files and folders; 10,000
	Ratio   int64 // bytes unpacked for one of the package; 200
}

// WithDefaults has no zero in it.
func (l Limits) WithDefaults() Limits {
	if l.Size <= 0 {
		l.Size = 512 << 20
	}
	if l.Entries <= 0 {
		l.Entries = 10_000
	}
	if l.Ratio <= 0 {
		l.Ratio = 200
	}
	return l
}

// freeSize is what any package may unpack to, whatever its ratio: a small
// package of text shrinks well and harms no one.
const freeSize = 1 << 20

// Unpack writes the zip of that size in bytes into the empty folder at dir.
// Files get mode 0644, or 0755 when anyone may execute them or the archive knows
// no modes; folders 0755. Owner and times are those of writing. Each file and
// folder is synced.
func Unpack(ctx context.Context, archive io.ReaderAt, size int64, dir string, limits Limits, step failpoint.Step) error {
	limits = limits.WithDefaults()
	z, err := open(archive, size, limits)
	if err != nil {
		return err
	}
	plan, err := judge(z.File, size, limits)
	if err != nil {
		return failure.Because(failure.Unzip, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return failure.New(failure.Storage, "open staging folder: %w", err)
	}
	defer root.Close()
	w := writer{root: root, step: step, left: min(limits.Size, max(freeSize, product(size, limits.Ratio)))}
	for _, folder := range plan.folders {
		if err := w.folder(folder); err != nil {
			return failure.Because(failure.Storage, err)
		}
	}
	for _, f := range plan.files {
		if err := w.file(ctx, f); err != nil {
			return failure.Because(failure.Unzip, fmt.Errorf("unpack %q: %w", f.Name, err))
		}
	}
	for _, folder := range append(plan.folders, ".") {
		if err := w.syncFolder(folder); err != nil {
			return failure.Because(failure.Storage, err)
		}
	}
	return nil
}

// product does not overflow.
func product(size, ratio int64) int64 {
	const most = 1 << 62
	if size > most/ratio {
		return most
	}
	return size * ratio
}

// A directory entry takes 46 bytes and its name; many with long names are
// allowed, millions of short ones would fill the memory before they are counted.
const directoryRoom = 512

// open reads the central directory, of which no more is read than the limit of
// entries needs.
func open(r io.ReaderAt, size int64, limits Limits) (*zip.Reader, error) {
	bounded := &boundedReader{ReaderAt: r, left: int64(limits.Entries)*directoryRoom + 256<<10}
	z, err := zip.NewReader(bounded, size)
	switch {
	case errors.Is(err, errDirectory):
		return nil, failure.New(failure.Unzip, "package has more than %d entries: %w", limits.Entries, err)
	case errors.Is(err, zip.ErrFormat), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, failure.New(failure.NotZip, "package is not a zip file: %w", err)
	case errors.Is(err, zip.ErrInsecurePath): // judged by our own stricter rule
	case err != nil:
		return nil, failure.New(failure.NotZip, "read package: %w", err)
	}
	bounded.left = -1 // the contents have their own bounds
	return z, nil
}

var errDirectory = errors.New("central directory is too large")

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

type writer struct {
	root *os.Root
	step failpoint.Step
	left int64 // bytes that may still be written
}

func (w *writer) folder(name string) error {
	if err := w.step.Before("unpack mkdir"); err != nil {
		return err
	}
	if err := w.root.Mkdir(name, 0o755); err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	return w.root.Chmod(name, 0o755) // whatever the umask
}

func (w *writer) file(ctx context.Context, entry *zip.File) (err error) {
	if err := w.step.Before("unpack create"); err != nil {
		return failure.Because(failure.Storage, err)
	}
	mode := fs.FileMode(0o644)
	if unixMode(entry) == 0 || unixMode(entry)&0o111 != 0 {
		mode = 0o755
	}
	f, err := w.root.OpenFile(strings.TrimSuffix(entry.Name, "/"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return failure.Because(failure.Storage, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	r, err := entry.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := io.Copy(bounded{ctx, f, w}, r); err != nil {
		return err
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if err := w.step.Before("unpack fsync"); err != nil {
		return err
	}
	return f.Sync()
}

func (w *writer) syncFolder(name string) error {
	if err := w.step.Before("unpack fsync folder"); err != nil {
		return err
	}
	return durable.FlushFolderIn(w.root, name)
}

// bounded writes no more than may still be written, and stops with its context.
type bounded struct {
	ctx context.Context // of the one copy it lives for
	f   *os.File
	w   *writer
}

func (b bounded) Write(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, context.Cause(b.ctx)
	}
	if int64(len(p)) > b.w.left {
		return 0, errors.New("package unpacks to more than it declares or the limits allow")
	}
	if err := b.w.step.Before("unpack write"); err != nil {
		return 0, err
	}
	b.w.left -= int64(len(p))
	return b.f.Write(p)
}

// parents are the folders above a name, outermost first.
func parents(name string) []string {
	var all []string
	for dir := path.Dir(name); dir != "." && dir != "/"; dir = path.Dir(dir) {
		all = append(all, dir)
	}
	slices.Reverse(all)
	return all
}
