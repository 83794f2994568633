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

// findPlaces returns the candidates, the best first. own is our path in v2.
func findPlaces(mounts []mount, own string) []place {
	var given, roots []place
	for _, m := range mounts {
		if m.kind != kindV2 {
			continue
		}
		if dir, ok := m.dir(own); ok {
			if isDelegated(dir) {
				given = append(given, place{m, dir, true})
			} else if parent := filepath.Dir(dir); dir != m.point && isDelegated(parent) {
				given = append(given, place{m, parent, true})
			}
		}
		roots = append(roots, place{m, m.point, false})
	}
	return append(given, roots...)
}

// isDelegated reports whether systemd marked a cgroup as delegated to its service.
func isDelegated(dir string) bool {
	for _, name := range []string{"user.delegate", "trusted.delegate"} {
		value := make([]byte, 8)
		if n, err := unix.Lgetxattr(dir, name, value); err == nil && string(value[:n]) == "1" {
			return true
		}
	}
	return false
}

// ensureFolder makes our folder in the place. It fails if the place is unusable.
func (p place) ensureFolder(folder string) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(p.dir, &fs); err != nil {
		return fmt.Errorf("%s: %w", p.dir, err)
	}
	if fs.Type != unix.CGROUP2_SUPER_MAGIC {
		return fmt.Errorf("%s: another file system is mounted over it", p.dir)
	}
	// Forking into a leaf needs the permission to move processes in the place.
	if err := unix.Faccessat(unix.AT_FDCWD, filepath.Join(p.dir, "cgroup.procs"), unix.W_OK, unix.AT_EACCESS); err != nil {
		return fmt.Errorf("%s: cannot move processes: %w", p.dir, err)
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
		return fmt.Errorf("%s: a cgroup in it has type %q, want domain", p.dir, k)
	}
	return nil
}

// hierarchy is a v1 hierarchy with a controller for limits.
type hierarchy struct {
	controller string
	mount      mount
	own        string // our cgroup in it
}

// findHierarchies returns the v1 hierarchies, by controller, in which our own cgroup
// is visible.
func findHierarchies(mounts []mount, own map[string]string) map[string]hierarchy {
	found := map[string]hierarchy{}
	for _, b := range controllerLimits(plugin.Limits{}) {
		for _, m := range mounts {
			if m.kind != kindV1 || !m.hasController(b.controller) {
				continue
			}
			if dir, ok := m.dir(own[b.controller]); ok && cgroupExists(dir) {
				found[b.controller] = hierarchy{b.controller, m, dir}
			}
		}
	}
	return found
}
