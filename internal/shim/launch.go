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

// The words by which a verb runs its own executable. They are no verbs of the
// contract.
const (
	launchWord = "--launch" // becomes the program
	asWord     = "--as"     // becomes a command, as the user of the program
)

// fdSaid is the descriptor on which `--launch` says what went wrong.
const fdSaid = 3

// failedWord begins the line that says why the program cannot run; other lines
// are warnings.
const failedWord = "failed: "

// becomeProgram is the process that becomes the program, or the command of a check:
// it takes on user, working directory and record, and executes it.
func becomeProgram(args []string) int {
	said := os.Stderr
	if args[0] == launchWord {
		said = os.NewFile(fdSaid, "said")
	}
	unix.CloseOnExec(fdSaid)
	if err := becomeOrFail(args, said); err != nil {
		if args[0] == launchWord {
			fmt.Fprint(said, failedWord)
		}
		fmt.Fprintln(said, err)
	}
	return exitFailed
}

func becomeOrFail(args []string, said *os.File) error {
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
			fmt.Fprintln(said, err) // without a record it is found all the same
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

// recordSelf writes the run record of this process, which becomes the program.
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

// appendOnly makes each write to a file an append: a log that is bounded while it
// is written needs that.
func appendOnly(f *os.File) {
	if !isRegular(f) {
		return
	}
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	if err == nil {
		_, _ = unix.FcntlInt(f.Fd(), unix.F_SETFL, flags|unix.O_APPEND)
	}
}

// becomeUser takes on the user and groups of the program.
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
		return fmt.Errorf("become user %s: %w", s.userName(), err)
	}
	return nil
}

func (s *shim) userName() string {
	if s.account != nil && s.account.User != nil {
		return s.account.User.Username
	}
	return fmt.Sprintf("%d", os.Geteuid())
}
