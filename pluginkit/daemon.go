package pluginkit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// stopTimeout is the time from TERM to KILL in `--stop`, and from KILL until it
// fails.
const stopTimeout = 2 * time.Second

// The files that the daemon inherits from `--start`, after the standard three.
const (
	fdReady = 3 // a pipe: one byte reports that the daemon is ready
	fdLock  = 4 // the start lock, held until then
)

// startDaemon starts the daemon of dir and returns when it is ready, or at once
// when it is running already.
func startDaemon(dir string) error {
	lock, err := lockDir(dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	if _, alive := readDaemon(dir); alive {
		return nil
	}
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own executable: %w", err)
	}
	reports, ready, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("open pipe: %w", err)
	}
	defer reports.Close()
	daemon := exec.Command(exe, verbDaemon)
	daemon.Dir = "/" // keeps no file system busy
	daemon.Stdout, daemon.Stderr = regularFile(os.Stdout), regularFile(os.Stderr)
	daemon.ExtraFiles = []*os.File{ready, lock}
	daemon.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := closeInheritedOnExec(); err != nil {
		return err
	}
	err = daemon.Start()
	_ = ready.Close() // only the daemon has the pipe now: its exit ends the read below
	if err != nil {
		return fmt.Errorf("start daemon: %w", err)
	}
	if _, err := io.ReadFull(reports, make([]byte, 1)); err != nil {
		return fmt.Errorf("daemon exited before it was ready: %w", errors.Join(err, daemon.Wait()))
	}
	return daemon.Process.Release()
}

// closeInheritedOnExec prevents that the daemon inherits the starter's open files.
func closeInheritedOnExec() error {
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("list open files: %w", err)
	}
	for _, f := range files {
		if fd, err := strconv.Atoi(f.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
	return nil
}

// lockDir waits for the start lock of the folder. The kernel releases it when
// the last process that inherited it has exited.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(lockFile(dir), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open start lock: %w", err)
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, syscall.EINTR) {
			_ = f.Close()
			return nil, fmt.Errorf("take start lock: %w", err)
		}
	}
}

func lockFile(dir string) string { return filepath.Join(dir, "start.lock") }

// regularFile returns f if it is a regular file, else nil. A pipe would break
// when its reader exits and a terminal would send SIGHUP: the daemon gets neither.
func regularFile(f *os.File) io.Writer {
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		return f
	}
	return nil
}

// Daemon holds the folder and version of the daemon, and reports for it.
type Daemon struct {
	Dir     string // the version's folder, PLUGIN_DIR
	Version string // the folder's name
	ready   *os.File
	lock    *os.File
}

// runDaemon runs the daemon, in its own process.
func (p Plugin) runDaemon(ctx context.Context, dir string) error {
	if p.Daemon == nil {
		return errors.New("a Once plugin has no daemon")
	}
	d := &Daemon{
		Dir: dir, Version: filepath.Base(dir),
		ready: os.NewFile(fdReady, "ready pipe"), lock: os.NewFile(fdLock, "start lock"),
	}
	if !d.startedByVerb() {
		return errors.New("only --start calls it")
	}
	// Programs that the daemon runs must not inherit these two.
	syscall.CloseOnExec(fdReady)
	syscall.CloseOnExec(fdLock)
	self, _, err := identifyProcess(os.Getpid())
	if err != nil {
		return err
	}
	if err := replaceFile(pidFile(dir), self.String()); err != nil {
		return fmt.Errorf("write pid file: %w", err)
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	return p.Daemon(ctx, d)
}

// startedByVerb reports whether `--start` handed over its pipe and its lock.
// Without them a call by hand would overwrite the pid file of a running daemon.
func (d *Daemon) startedByVerb() bool {
	ready, err := d.ready.Stat()
	if err != nil || ready.Mode()&os.ModeNamedPipe == 0 {
		return false
	}
	lock, err := d.lock.Stat()
	if err != nil {
		return false
	}
	want, err := os.Stat(lockFile(d.Dir))
	return err == nil && os.SameFile(lock, want)
}

// ReportReady reports that the daemon is ready: `--start` returns. It must be called
// once. It fails when the starter no longer waits, because it was killed; the daemon
// must then exit with the error.
func (d *Daemon) ReportReady() error {
	if _, err := d.ready.Write([]byte{'+'}); err != nil {
		return fmt.Errorf("report that the daemon is ready: %w", err)
	}
	return errors.Join(d.ready.Close(), d.lock.Close())
}

// WriteHeartbeat writes the heartbeat file.
func (d *Daemon) WriteHeartbeat() error {
	now := strconv.FormatInt(time.Now().Unix(), 10)
	if err := replaceFile(filepath.Join(d.Dir, "heartbeat"), now); err != nil {
		return fmt.Errorf("write heartbeat: %w", err)
	}
	return nil
}

// RunHeartbeat writes the heartbeat file each second until ctx ends.
func (d *Daemon) RunHeartbeat(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if err := d.WriteHeartbeat(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// ReadDuration returns a setting of the plugin: the content of the file name in
// its folder, such as "3s" or "1m30s", or unset when there is no such file.
func (d *Daemon) ReadDuration(name string, unset time.Duration) (time.Duration, error) {
	b, err := os.ReadFile(filepath.Join(d.Dir, name))
	if errors.Is(err, os.ErrNotExist) {
		return unset, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read setting: %w", err)
	}
	v, err := time.ParseDuration(strings.TrimSpace(string(b)))
	if err != nil {
		return 0, fmt.Errorf("setting %s: %w", name, err)
	}
	return v, nil
}

// replaceFile replaces the content of a file in one step: a reader sees the old
// or the new content, and a crash leaves one of them.
func replaceFile(path, content string) error {
	next := path + "." + strconv.Itoa(os.Getpid())
	if err := os.WriteFile(next, []byte(content), 0o644); err != nil {
		return err
	}
	return os.Rename(next, path)
}
