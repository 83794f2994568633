package service

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
)

// Account holds the user and groups that the program runs as.
type Account struct {
	UID, GID int
	Groups   []int // all groups
	User     *user.User
}

// Account returns the account of the program, nil for that of the caller. The error
// is a *yamlfile.Mistake for a user or group that is not on this host.
func (s Service) Account() (*Account, error) {
	if s.User == "" && s.Group == "" {
		return nil, nil
	}
	a := &Account{UID: os.Geteuid(), GID: os.Getegid()}
	if s.User != "" {
		u, err := findUser(s.User)
		if err != nil {
			return nil, s.Mistake("user", fmt.Sprintf("there is no user %q on this host; allowed: %s", s.User, accountKind.allow))
		}
		a.User = u
		a.UID, _ = strconv.Atoi(u.Uid) // both are numbers on Linux
		a.GID, _ = strconv.Atoi(u.Gid)
		ids, err := u.GroupIds()
		if err != nil {
			return nil, s.Mistake("user", fmt.Sprintf("groups of user %s: %v", s.User, err))
		}
		for _, id := range ids {
			if gid, err := strconv.Atoi(id); err == nil {
				a.Groups = append(a.Groups, gid)
			}
		}
	}
	if s.Group != "" {
		g, err := user.LookupGroup(s.Group)
		if err != nil {
			g, err = user.LookupGroupId(s.Group)
		}
		if err != nil {
			return nil, s.Mistake("group", fmt.Sprintf("there is no group %q on this host; allowed: %s", s.Group, accountKind.allow))
		}
		a.GID, _ = strconv.Atoi(g.Gid)
		a.Groups = append(a.Groups, a.GID)
	}
	return a, nil
}

func findUser(name string) (*user.User, error) {
	u, err := user.Lookup(name)
	if err != nil {
		u, err = user.LookupId(name)
	}
	return u, err
}

// IsCaller reports whether this process has the account already.
func (a *Account) IsCaller() bool {
	return a == nil || a.UID == os.Geteuid() && a.GID == os.Getegid()
}

// errNeedsRoot is returned when the account is another and the caller is not root.
var errNeedsRoot = errors.New("only root can start a program as another user or group")

// CheckCaller returns an error when the caller cannot start the program as the account.
func (a *Account) CheckCaller() error {
	if a.IsCaller() || os.Geteuid() == 0 {
		return nil
	}
	return errNeedsRoot
}
