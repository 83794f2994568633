package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// enableController enables a v2 controller for the leaves of a folder.
func (t *Tree) enableController(folder, controller string) error {
	for _, dir := range []string{t.place.dir, filepath.Join(t.place.dir, folder)} {
		if err := t.enableIn(dir, controller); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tree) enableIn(dir, controller string) error {
	if done, err := fileContains(dir, "cgroup.subtree_control", controller); done || err != nil {
		return err
	}
	if there, err := fileContains(dir, "cgroup.controllers", controller); err != nil {
		return err
	} else if !there {
		return errNoController
	}
	err := writeControl(dir, "cgroup.subtree_control", "+"+controller)
	if errors.Is(err, unix.EBUSY) && t.leaveRoot() {
		err = writeControl(dir, "cgroup.subtree_control", "+"+controller)
	}
	if errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("processes are in %s itself: %w", dir, err)
	}
	return err
}

// leaveRoot moves this process out of the place if the place is delegated to us and
// we are in it, because controllers cannot be enabled below a cgroup with
// processes. It reports whether it moved the process.
func (t *Tree) leaveRoot() bool {
	own, err := readMembership("/proc/self/cgroup")
	if err != nil || !t.place.delegated {
		return false
	}
	if dir, ok := t.place.mount.dir(own[""]); !ok || dir != t.place.dir {
		return false
	}
	aside := filepath.Join(t.place.dir, "supervisor")
	err = os.Mkdir(aside, 0o755)
	if err == nil || errors.Is(err, os.ErrExist) {
		err = writeControl(aside, "cgroup.procs", strconv.Itoa(os.Getpid()))
	}
	log := t.log.WithField("cgroup", aside)
	if err != nil {
		log.WithError(err).Warn("Cannot leave the delegated cgroup, no limits can be set in it")
		return false
	}
	log.Warn("Moved out of the delegated cgroup to set limits in it; better set DelegateSubgroup=supervisor in the unit")
	return true
}
