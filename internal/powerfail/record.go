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

// serveEnv is the environment variable that turns the test binary into the server
// of the folder it names.
const serveEnv = "POWERFAIL_SERVE"

// Folder is the recorded folder while the work runs.
type Folder struct {
	Path string
	t    testing.TB
}

// Acknowledge says that what was done so far survives a power failure: the image
// of a later one has Image.Acknowledged one higher.
func (f Folder) Acknowledge() { f.note(markName) }

// Settle says that everything is on the disk, and nothing is acknowledged yet:
// the failures that are checked come later.
func (f Folder) Settle() { f.note(settleName) }

func (f Folder) note(name string) {
	f.t.Helper()
	if _, err := os.Lstat(filepath.Join(f.Path, name)); !errors.Is(err, os.ErrNotExist) {
		f.t.Fatalf("note %s in the log: %v", name, err)
	}
}

// Recording is what the work did.
type Recording struct {
	ops []op
}

// Record records what work does in an empty folder; work has closed all files in
// it when it returns. The umask is 022 meanwhile. The test is skipped where no FUSE file system can be
// mounted. Record starts the test binary anew with this test: nothing that takes
// long or leaves something may come before it.
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

// startServer mounts the file system. stop ends it, and does nothing the second time.
func startServer(t testing.TB, folder string, log *os.File) (stop func()) {
	t.Helper()
	ready, answer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer ready.Close()
	server := exec.Command(os.Args[0], "-test.run="+patternOf(t.Name()))
	server.Env = append(os.Environ(), serveEnv+"="+folder, "GORACE=atexit_sleep_ms=0") // else it ends a second late
	server.ExtraFiles, server.Stderr = []*os.File{answer, log}, os.Stderr
	stdin, err := server.StdinPipe()
	if err == nil {
		err = server.Start()
	}
	if err = errors.Join(err, answer.Close()); err != nil {
		t.Fatal(err)
	}
	refused, err := io.ReadAll(ready)
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		_ = stdin.Close()
		if err := server.Wait(); err != nil && len(refused) == 0 {
			t.Errorf("serve the recorded folder: %v", err)
			_ = unix.Unmount(folder, unix.MNT_DETACH)
		}
	}
	if err != nil || len(refused) > 0 {
		stop()
		testenv.SkipWithout(t, testenv.Fuse, fmt.Sprintf("%s%v", refused, err))
	}
	return stop
}

// patternOf returns the pattern that runs one test.
func patternOf(name string) string {
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
