package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/pause"
)

// smallDisk is a file system of a few MiB for the supervisor's own folder, so
// that it can be filled without filling that of the machine.
type smallDisk struct{ dir string }

// mountSmallDisk mounts the file system. A nil disk cannot be filled.
func mountSmallDisk(root string) (*smallDisk, error) {
	dir := layout.Supervisor(root)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("mount small disk: %w", err)
	}
	if err := unix.Mount("soak", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "size=24m,mode=0750"); err != nil {
		return nil, fmt.Errorf("mount small disk: %w", err)
	}
	return &smallDisk{dir}, nil
}

func (d *smallDisk) unmount() error {
	if d == nil {
		return nil
	}
	if err := unix.Unmount(d.dir, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount small disk: %w", err)
	}
	return nil
}

// ballastPath returns the path of the file that fills the disk, which is no file of
// the supervisor.
func (d *smallDisk) ballastPath() string { return filepath.Join(d.dir, "ballast") }

// fill uses up all free space.
func (d *smallDisk) fill() error {
	f, err := os.OpenFile(d.ballastPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	for block := make([]byte, 64<<10); err == nil && len(block) > 0; {
		if _, err = f.Write(block); errors.Is(err, unix.ENOSPC) {
			block, err = block[:len(block)/2], nil
		}
	}
	return errors.Join(err, f.Close())
}

// fillDisk fills the disk of the supervisor's own files, now and then.
func (w *world) fillDisk(ctx context.Context) {
	for w.disk != nil && pause.Sleep(ctx, time.Duration(1+w.randomInt(9))*time.Second) == nil {
		err := w.disk.fill()
		_ = pause.Sleep(ctx, time.Duration(w.randomInt(3000))*time.Millisecond)
		if err = errors.Join(err, os.Remove(w.disk.ballastPath())); err != nil {
			w.tally.mustNot(failedOperations, "fill the disk: "+err.Error())
			return
		}
		w.tally.add("disks filled", 1)
	}
}
