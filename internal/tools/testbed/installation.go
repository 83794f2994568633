// Package testbed sets up installations for the project's own measurements:
// plugins below a temporary root, and the built programs that run on it.
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

// NewInstallation creates a root.
func NewInstallation() (*Installation, error) {
	root, err := os.MkdirTemp("", "supervisor-bench-")
	if err != nil {
		return nil, fmt.Errorf("create root: %w", err)
	}
	// The kernel reports the paths of processes without symbolic links.
	if root, err = filepath.EvalSymlinks(root); err != nil {
		return nil, fmt.Errorf("find root: %w", err)
	}
	return &Installation{Root: root, Registry: registry.New(registry.Options{Root: root})}, nil
}

// Install installs count plugins like the record, all with the same program,
// which is a file on the file system of the root. It returns the paths of their
// programs.
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

// Clear kills all processes whose programs are in the root, and removes the root
// and its cgroups.
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

// CgroupLeaves lists the plugins that have a cgroup, and removes these cgroups if
// remove is set. No supervisor may run on the root.
func (in *Installation) CgroupLeaves(remove bool) ([]string, error) {
	tree, err := cgroup.Open(cgroup.Options{Root: in.Root})
	if errors.Is(err, cgroup.ErrNone) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find cgroups: %w", err)
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

// killAll kills every process whose program lies below root, and returns when
// none is left.
func killAll(root string) error {
	const timeout, pause = 10 * time.Second, 20 * time.Millisecond
	for deadline := time.Now().Add(timeout); ; time.Sleep(pause) {
		left, err := killBelow(root)
		if err != nil {
			return err
		}
		if left == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("kill plugins: %d processes of %s are left", left, root)
		}
	}
}

// killBelow sends SIGKILL to each process once, and returns their number.
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
		// The handle identifies the process. Its program is read again after the
		// handle was opened, because the pid may have been reused meanwhile.
		p, err := os.FindProcess(pid)
		if err != nil {
			return found, fmt.Errorf("find process %d: %w", pid, err)
		}
		if runsBelow(pid, root) {
			found++
			_ = p.Signal(syscall.SIGKILL) // the next call finds a process that is left
		}
		_ = p.Release()
	}
	return found, nil
}

// runsBelow reports whether a process runs a program below root. A process that
// has exited does not.
func runsBelow(pid int, root string) bool {
	exe, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "exe"))
	return err == nil && strings.HasPrefix(exe, root+"/")
}

// Build builds a program of a folder below this one, small and static.
func Build(ctx context.Context, program, to string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", to, "pluginsupervisor/internal/tools/testbed/"+program)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", program, err, out)
	}
	return nil
}
