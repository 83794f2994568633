package service

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
)

// Account is what the program runs as.
type Account struct {
	UID, GID int
	Groups   []int // all of them
	User     *user.User
}

// Account returns what the program runs as, nil for what the caller is. The error
// is a *yamlfile.Mistake: there is no such user or group on this host.
func (s Service) Account() (*Account, error) {
	if s.User == "" && s.Group == "" {
		return nil, nil
	}
	a := &Account{UID: os.Geteuid(), GID: os.Getegid()}
	if s.User != "" {
		u, err := findUser(s.User)
		if err != nil {
			return nil, s.Mistake("user", fmt.Sprintf("there is no user %q on this host; allowed: %s", s.User, account.allow))
		}
		a.User = u
		a.UID, _ = strconv.Atoi(u.Uid) // on Linux both are numbers
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
			return nil, s.Mistake("group", fmt.Sprintf("there is no group %q on this host; allowed: %s", s.Group, account.allow))
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

// IsCaller reports whether who runs this is what the account says already.
func (a *Account) IsCaller() bool {
	return a == nil || a.UID == os.Geteuid() && a.GID == os.Getegid()
}

// errNeedsRoot is the error where the account is another and may not be taken on.
var errNeedsRoot = errors.New("only root can start a program as another user or group")

// CheckCaller returns why the caller cannot start the program as the account, or nil.
func (a *Account) CheckCaller() error {
	if a.IsCaller() || os.Geteuid() == 0 {
		return nil
	}
	return errNeedsRoot
}
