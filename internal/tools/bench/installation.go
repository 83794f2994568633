package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"pluginsupervisor/internal/registry"
)

// installation is a root in a temporary folder.
type installation struct {
	root     string
	registry *registry.Registry
}

func newInstallation() (*installation, error) {
	root, err := os.MkdirTemp("", "supervisor-bench-")
	if err != nil {
		return nil, fmt.Errorf("create root: %w", err)
	}
	// As the kernel tells it of the processes in there.
	if root, err = filepath.EvalSymlinks(root); err != nil {
		return nil, fmt.Errorf("find root: %w", err)
	}
	return &installation{root: root, registry: registry.New(registry.Options{Root: root})}, nil
}

// install installs that many plugins like the record, all with the same
// program, a file of the root, and returns the path each has it under.
func (in *installation) install(ctx context.Context, count int, program string, like registry.Record) ([]string, error) {
	var programs []string
	for i := range count {
		rec := like
		rec.Name = fmt.Sprintf("%s-%03d", like.Name, i)
		path := filepath.Join(in.root, "plugin", rec.Name, rec.Version, rec.RunPath)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, fmt.Errorf("install plugin: %w", err)
		}
		if err := os.Link(program, path); err != nil {
			return nil, fmt.Errorf("install plugin: %w", err)
		}
		if _, err := in.registry.Put(ctx, rec); err != nil {
			return nil, err
		}
		programs = append(programs, path)
	}
	return programs, nil
}

// clear ends what runs out of the root, and removes it.
func (in *installation) clear() error {
	err := endAll(in.root)
	if failed := os.RemoveAll(in.root); failed != nil {
		err = errors.Join(err, fmt.Errorf("remove root: %w", failed))
	}
	return err
}

// endAll kills every process whose program lies below root, whoever started
// it, and returns when none is left.
func endAll(root string) error {
	const patience, pause = 10 * time.Second, 20 * time.Millisecond
	for over := time.Now().Add(patience); ; time.Sleep(pause) {
		left, err := killBelow(root)
		if err != nil {
			return err
		}
		if left == 0 {
			return nil
		}
		if time.Now().After(over) {
			return fmt.Errorf("end plugins: %d processes of %s are left", left, root)
		}
	}
}

// killBelow kills once, and tells how many there were to kill.
func killBelow(root string) (found int, err error) {
	all, err := os.ReadDir("/proc")
	if err != nil {
		return 0, fmt.Errorf("list processes: %w", err)
	}
	for _, entry := range all {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || !runsBelow(pid, root) {
			continue
		}
		// The handle is the process itself. What it runs is looked at again
		// after it was opened, in case the number went to another meanwhile.
		p, err := os.FindProcess(pid)
		if err != nil {
			return found, fmt.Errorf("find process %d: %w", pid, err)
		}
		if runsBelow(pid, root) {
			found++
			_ = p.Signal(syscall.SIGKILL) // whether it helped shows the next time
		}
		_ = p.Release()
	}
	return found, nil
}

// runsBelow tells whether a process runs a program below root; one that has
// ended runs none.
func runsBelow(pid int, root string) bool {
	exe, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "exe"))
	return err == nil && strings.HasPrefix(exe, root+"/")
}
