// Package testbed sets up what the project's own measurements need: an
// installation of plugins below a temporary root, and the built programs
// running on it.
package testbed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"pluginsupervisor/internal/cgroup"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/record"
	"pluginsupervisor/internal/registry"
)

// Installation is a root in a temporary folder.
type Installation struct {
	Root     string
	Registry *registry.Registry
}

func NewInstallation() (*Installation, error) {
	root, err := os.MkdirTemp("", "supervisor-bench-")
	if err != nil {
		return nil, fmt.Errorf("create root: %w", err)
	}
	// As the kernel reports it for the processes in there.
	if root, err = filepath.EvalSymlinks(root); err != nil {
		return nil, fmt.Errorf("find root: %w", err)
	}
	return &Installation{Root: root, Registry: registry.New(registry.Options{Root: root})}, nil
}

// Install installs that many plugins like the record, all with the same
// program, a file of the root, and returns the path each has it under.
func (in *Installation) Install(ctx context.Context, count int, program string, like record.Record) ([]string, error) {
	var programs []string
	for i := range count {
		rec := like
		rec.Name = fmt.Sprintf("%s-%03d", like.Name, i)
		path := filepath.Join(layout.Version(in.Root, rec.Name, rec.Version), rec.RunPath)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, fmt.Errorf("install plugin: %w", err)
		}
		if err := os.Link(program, path); err != nil {
			return nil, fmt.Errorf("install plugin: %w", err)
		}
		if _, err := in.Registry.Put(ctx, rec); err != nil {
			return nil, err
		}
		programs = append(programs, path)
	}
	return programs, nil
}

// Clear ends what runs out of the root, and removes it and its cgroups.
func (in *Installation) Clear() error {
	err := killAll(in.Root)
	if _, failed := in.CgroupLeaves(true); failed != nil {
		err = errors.Join(err, failed)
	}
	if failed := os.RemoveAll(in.Root); failed != nil {
		err = errors.Join(err, fmt.Errorf("remove root: %w", failed))
	}
	return err
}

// CgroupLeaves lists the plugins that have a cgroup, and removes these if asked to.
// Nothing may be supervising the root.
func (in *Installation) CgroupLeaves(remove bool) ([]string, error) {
	tree, err := cgroup.Open(cgroup.Options{Root: in.Root})
	if errors.Is(err, cgroup.ErrNone) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for cgroups: %w", err)
	}
	names, err := tree.Names()
	for _, name := range names {
		if remove {
			err = errors.Join(err, tree.Remove(name))
		}
	}
	tree.Close()
	return names, err
}

// killAll kills every process whose program lies below root, no matter which process started
// it, and returns when none is left.
func killAll(root string) error {
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

// killBelow kills once, and returns the number of processes.
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

// runsBelow reports whether a process runs a program below root; one that has
// ended runs none.
func runsBelow(pid int, root string) bool {
	exe, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "exe"))
	return err == nil && strings.HasPrefix(exe, root+"/")
}

// Build builds a program of this folder as plugins are built: small and static.
func Build(ctx context.Context, program, to string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", to, "pluginsupervisor/internal/tools/testbed/"+program)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", program, err, out)
	}
	return nil
}
