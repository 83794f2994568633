package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	kindV1 = "cgroup"
	kindV2 = "cgroup2"
)

// mount is a mounted cgroup hierarchy.
type mount struct {
	root    string   // path in the hierarchy of the mounted cgroup
	point   string   // mount point
	kind    string   // kindV1 or kindV2
	options []string // of the hierarchy; in v1 they include the names of its controllers
}

// dir returns the folder of the cgroup with that path in the hierarchy. It returns
// false if the mount does not contain it, as inside a cgroup namespace.
func (m mount) dir(path string) (string, bool) {
	below, ok := strings.CutPrefix(path, strings.TrimSuffix(m.root, "/"))
	if !ok || !strings.HasPrefix(path, "/") || below != "" && below[0] != '/' ||
		slices.Contains(strings.Split(path, "/"), "..") {
		return "", false
	}
	return filepath.Join(m.point, below), true
}

// readMounts reads the cgroup mounts from a file like /proc/self/mountinfo.
func readMounts(file string) ([]mount, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read mounts: %w", err)
	}
	return parseMounts(string(b)), nil
}

// parseMounts returns the cgroup mounts in the text of /proc/self/mountinfo, see
// proc_pid_mountinfo(5). It skips lines that it does not understand.
func parseMounts(text string) []mount {
	var found []mount
	for line := range strings.Lines(text) {
		place, fs, ok := strings.Cut(line, " - ")
		left, right := strings.Fields(place), strings.Fields(fs)
		if !ok || len(left) < 6 || len(right) < 3 || right[0] != kindV1 && right[0] != kindV2 {
			continue
		}
		found = append(found, mount{
			root: unescapePath(left[3]), point: unescapePath(left[4]),
			kind: right[0], options: strings.Split(right[len(right)-1], ","),
		})
	}
	return found
}

// unescapePath replaces octal escapes such as \040, by which the kernel writes
// spaces in paths.
func unescapePath(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// readMembership reads the cgroup of a process or thread in each hierarchy.
func readMembership(file string) (map[string]string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read own cgroups: %w", err)
	}
	return parseMembership(string(b)), nil
}

// parseMembership parses /proc/PID/cgroup: the path for each v1 controller, and
// under "" the path in v2.
func parseMembership(text string) map[string]string {
	paths := map[string]string{}
	for line := range strings.Lines(text) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(fields) < 3 {
			continue
		}
		for controller := range strings.SplitSeq(fields[1], ",") {
			paths[controller] = fields[2]
		}
	}
	return paths
}
