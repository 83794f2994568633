package service

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/lock"
	"pluginsupervisor/plugin"
)

// RunAs is the first argument with which the shim becomes a command of a check: as the
// user of the program, in its working directory. The other arguments are the command.
const RunAs = "--as"

// CheckVariable marks the commands of checks and hooks, which have PLUGIN_DIR, too, but
// do not belong to the program.
const CheckVariable = "PLUGIN_CHECK"

// KillReserve is the part of a verb's timeout that is reserved for SIGKILL.
const KillReserve = 3 * time.Second

// LockFolder takes the lock of the version folder dir, which starting and stopping need
// (AP-01). If its file cannot be created, as on a full disk, it locks the folder.
func LockFolder(ctx context.Context, dir string) (release func(), err error) {
	held, _, err := lock.Take(ctx, layout.ServiceLock(dir), dir, true, lock.Hooks{})
	switch {
	case err == nil:
		return held.Release, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("another start or stop of the program did not finish in time: %w", err)
	default:
		return nil, err
	}
}

// BuildEnvironment returns the environment of the program in the version folder dir, and
// of its checks. base is that of the caller, previous the folder of the previous version
// or "".
func (s Service) BuildEnvironment(base []string, dir, previous string, a *Account) []string {
	env := slices.Clone(base)
	set := func(name, value string) {
		env = slices.DeleteFunc(env, func(kv string) bool { return strings.HasPrefix(kv, name+"=") })
		env = append(env, name+"="+value)
	}
	if a != nil && a.User != nil {
		set("HOME", a.User.HomeDir)
		set("USER", a.User.Username)
		set("LOGNAME", a.User.Username)
	}
	set("PWD", ResolvePath(dir, s.WorkingDir))
	for name, value := range s.Environment {
		set(name, value)
	}
	set(plugin.EnvDir, dir)
	set(plugin.EnvPreviousDir, previous)
	return env
}

// ResolvePath returns the path of a program or folder of the service in the version
// folder dir.
func ResolvePath(dir, word string) string {
	if filepath.IsAbs(word) {
		return filepath.Clean(word)
	}
	return filepath.Join(dir, word)
}

// LastLine returns the last line of a text, without trailing empty lines.
func LastLine(text string) string {
	text = strings.TrimRight(text, "\r\n\t ")
	return strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:])
}
