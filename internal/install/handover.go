package install

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/durable"
	"pluginsupervisor/internal/install/failure"
	"pluginsupervisor/internal/install/fetch"
	"pluginsupervisor/internal/install/manifest"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/lock"
	"pluginsupervisor/plugin"
)

const (
	handOverFile = "handover.json"  // in a staging folder that is handed over
	handOverAge  = 24 * time.Hour   // after that Sweep removes the folder
	handOverWait = 10 * time.Second // for the lock of the folder
	maxHandOver  = 4 << 10          // bytes
)

// handOver is the content of handOverFile, written by the process that staged
// the package.
type handOver struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	SHA256  string `json:"sha256"` // of the package
}

// HandOver prepares a package that was staged with Request.HandOver for another
// process of the same user. It returns the name to pass in Request.Staged there.
// Until Leave the folder still belongs to this process.
func (s *Staged) HandOver() (name string, err error) {
	text, err := json.Marshal(handOver{s.Config.Name, s.Config.Version, s.sums.SHA256})
	if err == nil {
		err = durable.WriteFile(filepath.Join(s.folder.path, handOverFile), text, 0o600, s.cfg.Step)
	}
	if err != nil {
		return "", failure.New(failure.Storage, "hand over %s %s: %w", s.Config.Name, s.Config.Version, err)
	}
	return filepath.Base(s.folder.path), nil
}

// Leave releases a folder that was handed over. Discard then does nothing.
func (s *Staged) Leave() error {
	f := s.folder
	s.folder = nil
	return f.lock.Close()
}

// openHandedOver opens the folder that another process handed over. It trusts
// nothing in it: the package is digested, and later verified, checked and
// unpacked again. The folder must be in staging and belong to our own user.
func (i *Installer) openHandedOver(ctx context.Context, r Request) (*Staged, error) {
	if err := plugin.CheckName(r.Staged); err != nil || isPartial(r.Staged) {
		return nil, failure.New(failure.Storage, "%q is not the name of a staging folder", r.Staged)
	}
	waiting, cancel := context.WithTimeout(ctx, handOverWait)
	defer cancel()
	path := filepath.Join(layout.Staging(i.cfg.Root), r.Staged)
	f, err := lockFolderWith(path, func(f *os.File) error { return lock.WaitFile(waiting, f, true) })
	if err != nil {
		return nil, failure.New(failure.Storage, "use staging folder %s: %w", r.Staged, err)
	}
	s := i.newStaged(f)
	if err := s.checkHandedOver(ctx, r); err != nil { // the folder stays until Sweep
		return nil, failure.New(failure.Storage, "use staging folder %s: %w", r.Staged, errors.Join(err, f.lock.Close()))
	}
	return s, nil
}

// checkHandedOver checks the owner and the content of the folder, and sets s.sums.
func (s *Staged) checkHandedOver(ctx context.Context, r Request) error {
	info, err := s.folder.lock.Stat()
	if err != nil {
		return err
	}
	if err := checkOwner(info); err != nil {
		return err
	}
	mark := filepath.Join(s.folder.path, handOverFile)
	text, err := readOwnFile(mark, maxHandOver)
	if err != nil {
		return err
	}
	var claim handOver
	if err := json.Unmarshal(text, &claim); err != nil {
		return fmt.Errorf("read %s: %w", handOverFile, err)
	}
	if claim.Name != r.Name || claim.Version != r.Version {
		return fmt.Errorf("it holds %s %s, requested was %s %s", claim.Name, claim.Version, r.Name, r.Version)
	}
	archive, err := openOwnFile(s.Archive())
	if err != nil {
		return err
	}
	defer archive.Close()
	if info, err = archive.Stat(); err != nil {
		return err
	}
	if info.Size() > s.cfg.Fetch.MaxSize {
		return fmt.Errorf("package has %d bytes, at most %d allowed", info.Size(), s.cfg.Fetch.MaxSize)
	}
	if s.sums, err = fetch.Digest(ctx, archive); err != nil {
		return err
	}
	if s.sums.SHA256 != claim.SHA256 {
		return errors.New("its package was changed after it was staged")
	}
	// From now on it is an ordinary staging folder.
	return errors.Join(os.RemoveAll(s.Dir), os.Remove(mark))
}

// addSignature returns the request with the signature from the staging folder, if
// the request has none.
func (s *Staged) addSignature(r Request) Request {
	if text, err := readOwnFile(s.signaturePath(), manifest.MaxSize); err == nil && strings.TrimSpace(r.Manifest) == "" {
		r.Manifest = string(text)
	}
	return r
}

// readOwnFile reads a small file in a staging folder.
func readOwnFile(path string, most int64) ([]byte, error) {
	f, err := openOwnFile(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most))
}

// openOwnFile opens a regular file of our own user.
func openOwnFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	if err == nil {
		err = checkOwner(info)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// checkOwner fails for a file or folder that belongs to another user or that
// others may write to.
func checkOwner(info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok || int(stat.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to another user", info.Name())
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("%s is writable by other users (mode %04o)", info.Name(), info.Mode().Perm())
	}
	return nil
}
