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
	handOverFile = "handover.json" // in a staging folder that is handed over
	handOverAge  = 24 * time.Hour  // how long it waits for the supervisor
	handOverWait = 10 * time.Second
	maxHandOver  = 4 << 10 // bytes
)

// handOver is what the process that staged a package says of it.
type handOver struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	SHA256  string `json:"sha256"` // of the package
}

// HandOver makes ready what was staged with Request.HandOver for another process
// of the same user, and returns the name that it has there as Request.Staged.
// Until Leave the folder is still this process's.
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

// Leave gives up a folder that was handed over; Discard then does nothing.
func (s *Staged) Leave() error {
	f := s.folder
	s.folder = nil
	return f.lock.Close()
}

// adopt takes over the folder that another process has handed over. Nothing that
// it says is believed: the package is digested, and will be verified, checked
// and unpacked anew. It may only be in Staging, and of our own user.
func (i *Installer) adopt(ctx context.Context, r Request) (*Staged, error) {
	if err := plugin.CheckName(r.Staged); err != nil || isPartial(r.Staged) {
		return nil, failure.New(failure.Storage, "%q is not the name of a staging folder", r.Staged)
	}
	waiting, cancel := context.WithTimeout(ctx, handOverWait)
	defer cancel()
	path := filepath.Join(layout.Staging(i.cfg.Root), r.Staged)
	f, err := lockFolderBy(path, func(f *os.File) error { return lock.WaitFile(waiting, f, true) })
	if err != nil {
		return nil, failure.New(failure.Storage, "take over staging folder: %w", err)
	}
	s := i.newStaged(f)
	if err := s.takeOver(ctx, r); err != nil { // it stays what it is, until Sweep
		return nil, failure.New(failure.Storage, "take over staging folder %s: %w", r.Staged, errors.Join(err, f.lock.Close()))
	}
	return s, nil
}

// takeOver checks whose the folder is and what it holds, and has s.sums of it.
func (s *Staged) takeOver(ctx context.Context, r Request) error {
	info, err := s.folder.lock.Stat()
	if err != nil {
		return err
	}
	if err := isOurs(info); err != nil {
		return err
	}
	mark := filepath.Join(s.folder.path, handOverFile)
	text, err := readOurs(mark, maxHandOver)
	if err != nil {
		return err
	}
	var said handOver
	if err := json.Unmarshal(text, &said); err != nil {
		return fmt.Errorf("read %s: %w", handOverFile, err)
	}
	if said.Name != r.Name || said.Version != r.Version {
		return fmt.Errorf("it is %s %s, wanted was %s %s", said.Name, said.Version, r.Name, r.Version)
	}
	archive, err := openOurs(s.Archive())
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
	if s.sums.SHA256 != said.SHA256 {
		return errors.New("the package in it was changed")
	}
	// From here on it is an ordinary staging folder.
	return errors.Join(os.RemoveAll(s.Dir), os.Remove(mark))
}

// handed returns the request for what was handed over: with the signature that
// came along, if there is one.
func (s *Staged) handed(r Request) Request {
	if text, err := readOurs(s.signature(), manifest.MaxSize); err == nil && strings.TrimSpace(r.Manifest) == "" {
		r.Manifest = string(text)
	}
	return r
}

// readOurs reads a small file in a staging folder.
func readOurs(path string, most int64) ([]byte, error) {
	f, err := openOurs(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most))
}

// openOurs opens a regular file of our own user.
func openOurs(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	if err == nil {
		err = isOurs(info)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// isOurs fails for a file or folder of another user, or that others may write to.
func isOurs(info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok || int(stat.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to another user", info.Name())
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("%s may be written to by others", info.Name())
	}
	return nil
}
