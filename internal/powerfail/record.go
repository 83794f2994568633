package powerfail

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/testenv"
)

// serveEnv is the environment variable that makes the test binary serve the folder it
// names.
const serveEnv = "POWERFAIL_SERVE"

// Folder is the recorded folder while the work runs.
type Folder struct {
	Path string
	t    testing.TB
}

// Acknowledge marks all work so far as durable. Images of later failures have an
// Image.Acknowledged that is one higher.
func (f Folder) Acknowledge() { f.logName(markName) }

// Settle makes everything durable and resets the acknowledgements. Only failures after
// it are checked.
func (f Folder) Settle() { f.logName(settleName) }

func (f Folder) logName(name string) {
	f.t.Helper()
	if _, err := os.Lstat(filepath.Join(f.Path, name)); !errors.Is(err, os.ErrNotExist) {
		f.t.Fatalf("note %s in the log: %v", name, err)
	}
}

// Recording holds the recorded operations.
type Recording struct {
	ops []op
}

// Record runs work in an empty folder and records its operations. work must close all
// its files. The umask is 022 meanwhile. The test is skipped if no FUSE file system can
// be mounted. Record runs this test a second time in another process, so code before it
// must be fast and leave nothing.
func Record(t testing.TB, work func(f Folder)) *Recording {
	t.Helper()
	if folder := os.Getenv(serveEnv); folder != "" {
		if err := serve(folder, os.NewFile(3, "ready"), os.NewFile(4, "log")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	folder := t.TempDir()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	stop := startServer(t, folder, log)
	defer stop()
	defer unix.Umask(unix.Umask(0o022))
	work(Folder{Path: folder, t: t})
	stop()
	r, err := readLog(log)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// startServer mounts the file system. stop unmounts it; a second call does nothing.
func startServer(t testing.TB, folder string, log *os.File) (stop func()) {
	t.Helper()
	ready, answer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer ready.Close()
	server := exec.Command(os.Args[0], "-test.run="+testPattern(t.Name()))
	server.Env = append(os.Environ(), serveEnv+"="+folder, "GORACE=atexit_sleep_ms=0") // else it exits a second late
	server.ExtraFiles, server.Stderr = []*os.File{answer, log}, os.Stderr
	stdin, err := server.StdinPipe()
	if err == nil {
		err = server.Start()
	}
	if err = errors.Join(err, answer.Close()); err != nil {
		t.Fatal(err)
	}
	mountError, err := io.ReadAll(ready)
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		_ = stdin.Close()
		if err := server.Wait(); err != nil && len(mountError) == 0 {
			t.Errorf("serve the recorded folder: %v", err)
			_ = unix.Unmount(folder, unix.MNT_DETACH)
		}
	}
	if err != nil || len(mountError) > 0 {
		stop()
		testenv.SkipWithout(t, testenv.Fuse, fmt.Sprintf("%s%v", mountError, err))
	}
	return stop
}

// testPattern returns the pattern that runs one test.
func testPattern(name string) string {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		parts[i] = "^" + regexp.QuoteMeta(part) + "$"
	}
	return strings.Join(parts, "/")
}

func readLog(log *os.File) (*Recording, error) {
	if _, err := log.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	r := &Recording{}
	for decode := gob.NewDecoder(log); ; {
		var o op
		err := decode.Decode(&o)
		if errors.Is(err, io.EOF) {
			return r, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the log: %w", err)
		}
		r.ops = append(r.ops, o)
	}
}
