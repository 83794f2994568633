// Package owner makes a command of root run as the owner of an installation, so that it
// leaves no files that the owner's supervisor cannot use (EV-30).
package owner

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/layout"
)

// BecomeOf changes the process from user root to the owner of the installation at root,
// permanently. It does nothing when the caller is not root, when root owns the
// installation, or when there is none yet.
func BecomeOf(root string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	uid, gid, found := ownerOf(root)
	if !found || uid == 0 {
		return nil
	}
	groups := []int{gid}
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		gid, groups = groupsOf(u, gid)
	}
	err := syscall.Setgroups(groups)
	if err == nil {
		err = syscall.Setresgid(gid, gid, gid)
	}
	if err == nil {
		err = syscall.Setresuid(uid, uid, uid)
	}
	if err == nil { // otherwise its files in /proc stay root's
		err = unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0)
	}
	if err != nil {
		return fmt.Errorf("change to the owner of %s: %w; run this command as user %d", root, err, uid)
	}
	return nil
}

// ownerOf returns the owner of the supervisor's folder, else that of the root.
func ownerOf(root string) (uid, gid int, found bool) {
	for _, dir := range []string{layout.Supervisor(root), root} {
		info, err := os.Stat(dir)
		if err != nil {
			continue
		}
		if s, ok := info.Sys().(*syscall.Stat_t); ok {
			return int(s.Uid), int(s.Gid), true
		}
	}
	return 0, 0, false
}

// groupsOf returns the groups of a user, gid if they are unknown.
func groupsOf(u *user.User, gid int) (primary int, all []int) {
	if n, err := strconv.Atoi(u.Gid); err == nil {
		gid = n
	}
	all = []int{gid}
	ids, err := u.GroupIds()
	if err != nil {
		return gid, all
	}
	for _, id := range ids {
		if n, err := strconv.Atoi(id); err == nil && n != gid {
			all = append(all, n)
		}
	}
	return gid, all
}
