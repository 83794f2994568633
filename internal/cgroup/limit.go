package cgroup

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"pluginsupervisor/plugin"
)

// errNoController is returned when no hierarchy has the controller.
var errNoController = errors.New("no controller")

// cpuPeriod is the period of the CPU quota, in µs.
const cpuPeriod = 100_000

// controllerLimit is one limit with its control files.
type controllerLimit struct {
	controller string
	wanted     bool
	v2, v1     []setting
}

// setting is a value for a control file.
type setting struct{ file, value string }

// controllerLimits returns the settings for the limits. For a limit of 0 they
// remove the limit.
func controllerLimits(l plugin.Limits) []controllerLimit {
	quota := int64(math.Round(l.CPU * cpuPeriod))
	return []controllerLimit{
		{
			"cpu", l.CPU > 0,
			[]setting{{"cpu.max", valueOr(quota, "max") + " " + strconv.Itoa(cpuPeriod)}},
			[]setting{{"cpu.cfs_period_us", strconv.Itoa(cpuPeriod)}, {"cpu.cfs_quota_us", valueOr(quota, "-1")}},
		},
		{
			"memory", l.Memory > 0,
			[]setting{{"memory.oom.group", valueOr(min(l.Memory, 1), "0")}, {"memory.max", valueOr(l.Memory, "max")}},
			[]setting{{"memory.limit_in_bytes", valueOr(l.Memory, "-1")}},
		},
		{
			"pids", l.PIDs > 0,
			[]setting{{"pids.max", valueOr(int64(l.PIDs), "max")}},
			[]setting{{"pids.max", valueOr(int64(l.PIDs), "max")}},
		},
	}
}

func valueOr(n int64, none string) string {
	if n <= 0 {
		return none
	}
	return strconv.FormatInt(n, 10)
}

// Unlimited returns the limits that cannot be enforced on this host, each with the
// reason: "memory: no controller". It enables controllers for our folder where that
// is possible (EV-17).
func (t *Tree) Unlimited(l plugin.Limits) []string {
	var not []string
	for _, b := range controllerLimits(l) {
		if !b.wanted {
			continue
		}
		if _, err := t.controllerVersion(t.folder, b.controller); err != nil {
			not = append(not, b.controller+": "+err.Error())
		}
	}
	return not
}

// Limit sets the limits that can be enforced on this host and removes those that
// are 0. It should be called without limits too, because an earlier supervisor
// process may have set some. An error names the file of a value that the kernel
// rejected; the other limits are still set.
func (l *Leaf) Limit(limits plugin.Limits) error {
	var failed []error
	for _, b := range controllerLimits(limits) {
		if err := l.setLimit(b); err != nil {
			failed = append(failed, fmt.Errorf("limit %s: %w", b.controller, err))
		}
	}
	return errors.Join(failed...)
}

func (l *Leaf) setLimit(b controllerLimit) error {
	v1, isV1 := l.v1(b.controller)
	if !b.wanted {
		err := resetSettings(l.Dir(), b.v2)
		if isV1 {
			err = errors.Join(err, resetSettings(v1, b.v1))
		}
		return err
	}
	switch version, err := l.tree.controllerVersion(l.folder, b.controller); {
	case err != nil:
		return nil // Unlimited reports it
	case version == 2:
		return applySettings(l.Dir(), b.v2)
	}
	if err := os.MkdirAll(v1, 0o755); err != nil {
		return err
	}
	return applySettings(v1, b.v1)
}

func applySettings(dir string, settings []setting) error {
	for _, s := range settings {
		if err := writeControl(dir, s.file, s.value); err != nil {
			return err
		}
	}
	return nil
}

// resetSettings applies settings. Missing control files are no error.
func resetSettings(dir string, settings []setting) error {
	err := applySettings(dir, settings)
	if isAbsent(err) {
		return nil
	}
	return err
}

// controllerVersion returns the version of cgroups, 1 or 2, in which a controller
// can limit the leaves of a folder. The error is the reason why neither can.
func (t *Tree) controllerVersion(folder, controller string) (version int, err error) {
	err = t.enableController(folder, controller)
	if err == nil {
		return 2, nil
	}
	h, ok := t.v1[controller]
	if !ok {
		return 0, err
	}
	if err := unix.Faccessat(unix.AT_FDCWD, h.own, unix.W_OK, unix.AT_EACCESS); err != nil {
		return 0, fmt.Errorf("%s: %w", h.own, err)
	}
	return 1, nil
}

// hasController reports whether a v1 mount is of that controller.
func (m mount) hasController(controller string) bool { return slices.Contains(m.options, controller) }
