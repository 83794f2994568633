// Package owner has a command that root runs on an installation of another user
// work as that user, so that it leaves nothing there that the user's supervisor
// cannot use (EV-30).
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

// BecomeOf gives up root for the owner of the installation at root, for the
// whole process and for good. It does nothing where another user runs the
// command, where root owns the installation, or where there is none yet.
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
	if err == nil { // else our own files in /proc would stay root's
		err = unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0)
	}
	if err != nil {
		return fmt.Errorf("work as the owner of %s: %w; run this as user %d", root, err, uid)
	}
	return nil
}

// ownerOf returns who owns what the supervisor keeps, or else the root.
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

// groupsOf returns the groups of a user, gid where they are not known.
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
