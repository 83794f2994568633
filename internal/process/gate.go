package process

import (
	"fmt"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/procfs"
	"pluginsupervisor/plugin"
)

// openGate makes the process wait before it executes the program, until record has returned.
func (f *fork) openGate(record func(plugin.Process)) error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open socket pair: %w", err)
	}
	f.start.Gate = pair[1]
	go f.serveGate(pair[0], record)
	return nil
}

// serveGate lets each process through that waits at the gate, until no process can come any more.
// After a failed start a second one may follow.
func (f *fork) serveGate(fd int, record func(plugin.Process)) {
	defer unix.Close(fd)
	token := make([]byte, 1)
	for {
		var n int
		err := ignoringEINTR(func() (err error) {
			n, err = unix.Read(fd, token)
			return err
		})
		if err != nil || n == 0 {
			return
		}
		if p, err := identify(f.start.PID()); err == nil { // else it was killed
			record(p)
		}
		if _, err := unix.Write(fd, token); err != nil {
			return
		}
	}
}

// identify returns the identity of a live process.
func identify(pid int) (plugin.Process, error) {
	stat, err := procfs.ReadStat(pid)
	if err != nil {
		return plugin.Process{}, err
	}
	boot, err := procfs.BootID()
	return plugin.Process{PID: pid, StartTicks: stat.Born, BootID: boot}, err
}
