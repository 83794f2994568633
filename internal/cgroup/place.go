package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"pluginsupervisor/plugin"
)

// place is a cgroup that may hold our folder.
type place struct {
	mount     mount
	dir       string
	delegated bool // to us, by the service manager
}

// places are the candidates, the best first. own is our path in v2.
func places(mounts []mount, own string) []place {
	var given, roots []place
	for _, m := range mounts {
		if m.kind != kindV2 {
			continue
		}
		if dir, ok := m.dir(own); ok {
			if delegated(dir) {
				given = append(given, place{m, dir, true})
			} else if parent := filepath.Dir(dir); dir != m.point && delegated(parent) {
				given = append(given, place{m, parent, true})
			}
		}
		roots = append(roots, place{m, m.point, false})
	}
	return append(given, roots...)
}

// delegated tells whether systemd marked a cgroup as its service's own.
func delegated(dir string) bool {
	for _, name := range []string{"user.delegate", "trusted.delegate"} {
		value := make([]byte, 8)
		if n, err := unix.Lgetxattr(dir, name, value); err == nil && string(value[:n]) == "1" {
			return true
		}
	}
	return false
}

// settle makes our folder in the place, or says why that is none.
func (p place) settle(folder string) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(p.dir, &fs); err != nil {
		return fmt.Errorf("%s: %w", p.dir, err)
	}
	if fs.Type != unix.CGROUP2_SUPER_MAGIC {
		return fmt.Errorf("%s: another file system is mounted over it", p.dir)
	}
	// To fork into a leaf takes the right to move processes within the place.
	if err := unix.Faccessat(unix.AT_FDCWD, filepath.Join(p.dir, "cgroup.procs"), unix.W_OK, unix.AT_EACCESS); err != nil {
		return fmt.Errorf("%s: may not move processes: %w", p.dir, err)
	}
	dir := filepath.Join(p.dir, folder)
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	kind, err := os.ReadFile(filepath.Join(dir, "cgroup.type"))
	if err != nil {
		return err
	}
	if k := strings.TrimSpace(string(kind)); k != "domain" {
		_ = unix.Rmdir(dir)
		return fmt.Errorf("%s: a cgroup in it is of type %q", p.dir, k)
	}
	return nil
}

// hierarchy is one of v1 that has a controller for limits.
type hierarchy struct {
	controller string
	mount      mount
	own        string // our cgroup in it
}

// hierarchies are those of the controllers that we can see our own cgroup in.
func hierarchies(mounts []mount, own map[string]string) map[string]hierarchy {
	found := map[string]hierarchy{}
	for _, b := range bounds(plugin.Limits{}) {
		for _, m := range mounts {
			if m.kind != kindV1 || !m.has(b.controller) {
				continue
			}
			if dir, ok := m.dir(own[b.controller]); ok && exists(dir) {
				found[b.controller] = hierarchy{b.controller, m, dir}
			}
		}
	}
	return found
}
