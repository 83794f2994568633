// Package unpack writes a package into a folder.
//
// The package passed pkgcheck.Check, so its list of entries is acceptable before
// the first byte is written. Everything is written through an os.Root, so that no
// name can lead out of the folder.
package unpack

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"pluginsupervisor/internal/durable"
	"pluginsupervisor/internal/failpoint"
	"pluginsupervisor/internal/pkgcheck"
)

// Unpack writes the package into the empty folder at dir. Files get the mode of
// pkgcheck.Package.Mode, folders 0755; owner and times are those of the write.
// Each file and folder except dir is flushed. After an error the folder is
// incomplete and the caller removes it; damaged content is a *pkgcheck.Error.
func Unpack(ctx context.Context, p *pkgcheck.Package, dir string, step failpoint.Step) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("open staging folder: %w", err)
	}
	defer root.Close()
	w := writer{root: root, mode: p.Mode, step: step}
	for _, folder := range p.Folders {
		if err := w.writeFolder(folder); err != nil {
			return fmt.Errorf("unpack: %w", err)
		}
	}
	if err := p.ReadFiles(ctx, w.writeFile); err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	for _, folder := range p.Folders {
		if err := w.syncFolder(folder); err != nil {
			return fmt.Errorf("unpack: %w", err)
		}
	}
	return nil
}

type writer struct {
	root *os.Root
	mode func(*zip.File) fs.FileMode
	step failpoint.Step
}

func (w writer) writeFolder(name string) error {
	if err := w.step.Before("unpack mkdir"); err != nil {
		return err
	}
	if err := w.root.Mkdir(name, 0o755); err != nil {
		return err
	}
	return w.root.Chmod(name, 0o755) // the umask does not apply
}

func (w writer) writeFile(entry *zip.File, content io.Reader) (err error) {
	if err := w.step.Before("unpack create"); err != nil {
		return err
	}
	mode := w.mode(entry)
	f, err := w.root.OpenFile(entry.Name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := io.Copy(stepWriter{f, w.step}, content); err != nil {
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

func (w writer) syncFolder(name string) error {
	if err := w.step.Before("unpack fsync folder"); err != nil {
		return err
	}
	return durable.FlushFolderIn(w.root, name)
}

// stepWriter calls step before each write.
type stepWriter struct {
	f    *os.File
	step failpoint.Step
}

func (w stepWriter) Write(p []byte) (int, error) {
	if err := w.step.Before("unpack write"); err != nil {
		return 0, err
	}
	return w.f.Write(p)
}
