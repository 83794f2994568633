package contract

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

// stopPatience is how long `--stop` waits after TERM before it sends KILL.
const stopPatience = 2 * time.Second

// What the daemon inherits from `--start`, after the three standard files.
const (
	fdReady = 3 // a pipe: one byte says that the daemon is up
	fdLock  = 4 // the lock, held until then
)

// startDaemon starts the daemon of dir and returns when it is up, or when it
// turns out to run already.
func startDaemon(dir string) error {
	lock, err := lockDir(dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	if _, alive := recorded(dir); alive {
		return nil
	}
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own executable: %w", err)
	}
	up, ready, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("open pipe: %w", err)
	}
	defer up.Close()
	daemon := exec.Command(exe, verbDaemon)
	daemon.Dir = "/" // hold no file system busy
	daemon.Stdout, daemon.Stderr = logOrNothing(os.Stdout), logOrNothing(os.Stderr)
	daemon.ExtraFiles = []*os.File{ready, lock}
	daemon.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = daemon.Start()
	_ = ready.Close() // the daemon's end is the only one now: its death ends the read below
	if err != nil {
		return fmt.Errorf("start daemon: %w", err)
	}
	if _, err := io.ReadFull(up, make([]byte, 1)); err != nil {
		return fmt.Errorf("daemon ended before it was up: %w", errors.Join(err, daemon.Wait()))
	}
	return daemon.Process.Release()
}

// lockDir waits for the folder's lock. The kernel lets go of it when the last
// process that inherited it is gone.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "start.lock"), os.O_CREATE|os.O_RDWR, 0o600)
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

// logOrNothing is f if it is a file. A pipe would break when its reader dies,
// a terminal would send its hang-up: the daemon gets neither.
func logOrNothing(f *os.File) io.Writer {
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		return f
	}
	return nil
}

// Daemon is the daemon's view of itself.
type Daemon struct {
	Dir     string // the version's folder, PLUGIN_DIR
	Version string // the folder's name
	ready   *os.File
	lock    *os.File
}

// daemon is the whole life of the daemon.
func (p Plugin) daemon(ctx context.Context, dir string) error {
	// Nothing the daemon runs itself may inherit these two.
	syscall.CloseOnExec(fdReady)
	syscall.CloseOnExec(fdLock)
	d := &Daemon{
		Dir: dir, Version: filepath.Base(dir),
		ready: os.NewFile(fdReady, "ready"), lock: os.NewFile(fdLock, "lock"),
	}
	self, _, err := identify(os.Getpid())
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

// Ready tells `--start` that the daemon is up. If nobody listens any more, the
// start was given up, and so must be the daemon: it returns the error.
func (d *Daemon) Ready() error {
	if _, err := d.ready.Write([]byte{'+'}); err != nil {
		return fmt.Errorf("tell that the daemon is up: %w", err)
	}
	return errors.Join(d.ready.Close(), d.lock.Close())
}

// Beat writes the heartbeat.
func (d *Daemon) Beat() error {
	now := strconv.FormatInt(time.Now().Unix(), 10)
	if err := replaceFile(filepath.Join(d.Dir, "heartbeat"), now); err != nil {
		return fmt.Errorf("write heartbeat: %w", err)
	}
	return nil
}

// BeatUntil beats every second until ctx ends.
func (d *Daemon) BeatUntil(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if err := d.Beat(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Duration is a setting of the plugin: the file of that name in its folder, as
// "3s" or "1m30s", or the default when there is none.
func (d *Daemon) Duration(name string, unset time.Duration) (time.Duration, error) {
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

// replaceFile gives the file its new content in one step: a reader sees the
// old or the new, and a crash leaves one of them.
func replaceFile(path, content string) error {
	next := path + "." + strconv.Itoa(os.Getpid())
	if err := os.WriteFile(next, []byte(content), 0o644); err != nil {
		return err
	}
	return os.Rename(next, path)
}
