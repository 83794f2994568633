package registry

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/record"
)

// The test binary runs itself as another process of the host: its role is in the
// first variable, the root in the second.
const (
	asVariable   = "REGISTRY_TEST_AS"
	rootVariable = "REGISTRY_TEST_ROOT"
)

func TestMain(m *testing.M) {
	r := New(Options{Root: os.Getenv(rootVariable)})
	switch os.Getenv(asVariable) {
	case "":
		os.Exit(m.Run())
	case "lister": // lists when stdin is closed
		fmt.Println("ready")
		_, _ = io.Copy(io.Discard, os.Stdin)
		l, err := r.List(context.Background())
		fmt.Println(strings.Join(describeList(l), ","), err, l.Damaged)
	case "holder": // has it open for writing, as the existing program, until stdin is closed
		db, err := bbolt.Open(r.path, 0o640, nil)
		fmt.Println("ready", err)
		_, _ = io.Copy(io.Discard, os.Stdin)
		fmt.Println(db.Close())
	case "limited": // cannot write files of more than 8 KiB
		limit := unix.Rlimit{Cur: 8 << 10, Max: 8 << 10}
		err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit)
		fmt.Println("ready", err)
		rec := record.Record{Name: "new", Version: "1", URL: strings.Repeat("u", 100_000)}
		_, err = r.Put(context.Background(), rec)
		fmt.Println(err)
	}
}

// otherProcess is another process. out has its lines; closing in lets it continue.
type otherProcess struct {
	in  io.Closer
	out *bufio.Scanner
}

func startProcess(t *testing.T, as string, r *Registry) otherProcess {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asVariable+"="+as, rootVariable+"="+filepath.Dir(r.dir))
	cmd.Stderr = os.Stderr
	in, ierr := cmd.StdinPipe()
	out, oerr := cmd.StdoutPipe()
	if err := errors.Join(ierr, oerr, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", as, err)
		}
	})
	o := otherProcess{in: in, out: bufio.NewScanner(out)}
	if line := o.readLine(); !strings.HasPrefix(line, "ready") {
		t.Fatalf("%s: %s", as, line)
	}
	return o
}

func (o otherProcess) readLine() string {
	o.out.Scan()
	return o.out.Text()
}
