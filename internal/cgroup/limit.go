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

// errNoController says that a controller is nowhere to be had.
var errNoController = errors.New("no controller")

// cpuPeriod is the time in which a plugin may use its share of it, in µs.
const cpuPeriod = 100_000

// bound is one limit as the kernel wants it told.
type bound struct {
	controller string
	asked      bool
	v2, v1     []setting
}

// setting is a value for a control file.
type setting struct{ file, value string }

// bounds are the limits, or for those that are 0 what lifts them.
func bounds(l plugin.Limits) []bound {
	quota := int64(math.Round(l.CPU * cpuPeriod))
	return []bound{
		{
			"cpu", l.CPU > 0,
			[]setting{{"cpu.max", or(quota, "max") + " " + strconv.Itoa(cpuPeriod)}},
			[]setting{{"cpu.cfs_period_us", strconv.Itoa(cpuPeriod)}, {"cpu.cfs_quota_us", or(quota, "-1")}},
		},
		{
			"memory", l.Memory > 0,
			[]setting{{"memory.oom.group", or(min(l.Memory, 1), "0")}, {"memory.max", or(l.Memory, "max")}},
			[]setting{{"memory.limit_in_bytes", or(l.Memory, "-1")}},
		},
		{
			"pids", l.PIDs > 0,
			[]setting{{"pids.max", or(int64(l.PIDs), "max")}},
			[]setting{{"pids.max", or(int64(l.PIDs), "max")}},
		},
	}
}

func or(n int64, none string) string {
	if n <= 0 {
		return none
	}
	return strconv.FormatInt(n, 10)
}

// Unlimited tells which of the limits cannot be enforced here, each with why:
// "memory: no controller". If a limit can be once a controller is handed down
// to our folder, that is done (EV-17).
func (t *Tree) Unlimited(l plugin.Limits) []string {
	var not []string
	for _, b := range bounds(l) {
		if !b.asked {
			continue
		}
		if _, err := t.enforcer(t.folder, b.controller); err != nil {
			not = append(not, b.controller+": "+err.Error())
		}
	}
	return not
}

// Limit sets the limits that can be enforced here and lifts those that are 0.
// It should be called with no limits as well, as an earlier life of the
// supervisor may have set some. An error names the file of a value that the
// kernel refused; the other limits are set nevertheless.
func (l *Leaf) Limit(limits plugin.Limits) error {
	var failed []error
	for _, b := range bounds(limits) {
		if err := l.bound(b); err != nil {
			failed = append(failed, fmt.Errorf("limit %s: %w", b.controller, err))
		}
	}
	return errors.Join(failed...)
}

func (l *Leaf) bound(b bound) error {
	v1, isV1 := l.v1(b.controller)
	if !b.asked {
		err := lift(l.Dir(), b.v2)
		if isV1 {
			err = errors.Join(err, lift(v1, b.v1))
		}
		return err
	}
	switch version, err := l.tree.enforcer(l.folder, b.controller); {
	case err != nil:
		return nil // Unlimited tells
	case version == 2:
		return apply(l.Dir(), b.v2)
	}
	if err := os.MkdirAll(v1, 0o755); err != nil {
		return err
	}
	return apply(v1, b.v1)
}

func apply(dir string, settings []setting) error {
	for _, s := range settings {
		if err := write(dir, s.file, s.value); err != nil {
			return err
		}
	}
	return nil
}

// lift is apply where there may be nothing to lift.
func lift(dir string, settings []setting) error {
	err := apply(dir, settings)
	if gone(err) {
		return nil
	}
	return err
}

// enforcer tells in which version of cgroups a controller can limit the leaves
// of a folder: 1 or 2, or why in none.
func (t *Tree) enforcer(folder, controller string) (version int, err error) {
	err = t.enable(folder, controller)
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

// has tells whether a v1 mount is of that controller.
func (m mount) has(controller string) bool { return slices.Contains(m.options, controller) }
