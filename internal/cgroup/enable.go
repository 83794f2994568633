package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// enable hands a v2 controller down to the leaves of a folder.
func (t *Tree) enable(folder, controller string) error {
	for _, dir := range []string{t.place.dir, filepath.Join(t.place.dir, folder)} {
		if err := t.handDown(dir, controller); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tree) handDown(dir, controller string) error {
	if done, err := lists(dir, "cgroup.subtree_control", controller); done || err != nil {
		return err
	}
	if there, err := lists(dir, "cgroup.controllers", controller); err != nil {
		return err
	} else if !there {
		return errNoController
	}
	err := write(dir, "cgroup.subtree_control", "+"+controller)
	if errors.Is(err, unix.EBUSY) && t.stepAside() {
		err = write(dir, "cgroup.subtree_control", "+"+controller)
	}
	if errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("processes are in %s itself: %w", dir, err)
	}
	return err
}

// stepAside moves us out of the place if it is ours and we are in it: a cgroup
// with processes cannot hand controllers down. It tells whether we moved.
func (t *Tree) stepAside() bool {
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
		err = write(aside, "cgroup.procs", strconv.Itoa(os.Getpid()))
	}
	log := t.log.WithField("cgroup", aside)
	if err != nil {
		log.WithError(err).Warn("Cannot leave the delegated cgroup, no limits can be set in it")
		return false
	}
	log.Warn("Moved out of the delegated cgroup to set limits in it; DelegateSubgroup=supervisor in the unit is the better way")
	return true
}
