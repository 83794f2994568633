package shim

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/inherit"
	"pluginsupervisor/internal/procfs"
	"pluginsupervisor/internal/service"
	"pluginsupervisor/plugin"
)

// First arguments with which a verb runs its own executable. They are not verbs of
// the contract.
const (
	launchWord = "--launch" // becomes the program
	asWord     = "--as"     // becomes a command, as the user of the program
)

// messageFD is the descriptor to which `--launch` writes errors and warnings.
const messageFD = 3

// failedWord is the prefix of the line with the cause why the program cannot run;
// other lines are warnings.
const failedWord = "failed: "

// becomeProgram turns this process into the program, or the command of a check: it
// writes the record, sets user and working directory, and executes it. It returns
// only after an error.
func becomeProgram(args []string) int {
	messages := os.Stderr
	if args[0] == launchWord {
		messages = os.NewFile(messageFD, "messages")
	}
	unix.CloseOnExec(messageFD)
	if err := becomeOrFail(args, messages); err != nil {
		if args[0] == launchWord {
			fmt.Fprint(messages, failedWord)
		}
		fmt.Fprintln(messages, err)
	}
	return exitFailed
}

func becomeOrFail(args []string, messages *os.File) error {
	s, err := newShim(os.Stdout, os.Stderr)
	if err != nil {
		return err
	}
	if s.account, err = s.service.Account(); err != nil {
		return err
	}
	words := args[1:]
	if args[0] == launchWord {
		words = s.service.Command
		if err := recordSelf(s.dir); err != nil {
			fmt.Fprintln(messages, err) // the program is also found without a record
		}
		for _, f := range []*os.File{os.Stdout, os.Stderr} {
			appendOnly(f)
		}
	}
	if err := s.becomeUser(); err != nil {
		return err
	}
	path := s.path(words[0])
	if dir := s.path(s.service.WorkingDir); os.Chdir(dir) != nil {
		return fmt.Errorf("working_dir %s: %w", s.service.WorkingDir, s.explainFolder(dir))
	}
	if err := inherit.ResetSignals(); err != nil {
		return err
	}
	err = unix.Exec(path, append([]string{path}, words[1:]...), os.Environ())
	return fmt.Errorf("%s: %w", words[0], s.explain(path, err))
}

// recordSelf writes the run record with this process, which becomes the program.
func recordSelf(dir string) error {
	stat, err := procfs.ReadStat(os.Getpid())
	if err != nil {
		return fmt.Errorf("identify own process: %w", err)
	}
	boot, err := procfs.BootID()
	if err != nil {
		return err
	}
	return service.WriteRun(dir, plugin.Process{PID: os.Getpid(), StartTicks: stat.Born, BootID: boot})
}

// appendOnly makes each write to a file an append, which a log needs that is shortened
// while it is written.
func appendOnly(f *os.File) {
	if !isRegular(f) {
		return
	}
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	if err == nil {
		_, _ = unix.FcntlInt(f.Fd(), unix.F_SETFL, flags|unix.O_APPEND)
	}
}

// becomeUser sets the user and groups of this process to those of the program.
func (s *shim) becomeUser() error {
	a := s.account
	if a.IsCaller() {
		return nil
	}
	err := syscall.Setgroups(a.Groups)
	if err == nil {
		err = syscall.Setgid(a.GID)
	}
	if err == nil {
		err = syscall.Setuid(a.UID)
	}
	if err != nil {
		return fmt.Errorf("change to user %s: %w", s.userName(), err)
	}
	return nil
}

func (s *shim) userName() string {
	if s.account != nil && s.account.User != nil {
		return s.account.User.Username
	}
	return fmt.Sprintf("%d", os.Geteuid())
}
