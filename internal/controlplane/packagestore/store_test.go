package packagestore

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"pluginsupervisor/internal/lock"
)

func openTestStore(t *testing.T, dir string) *Store {
	t.Helper()
	d, err := Open(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// listNames lists the folder without its lock.
func listNames(t *testing.T, d *Store) []string {
	t.Helper()
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		if e.Name() != lockName {
			all = append(all, e.Name())
		}
	}
	return all
}

func TestKeptFileIsComplete(t *testing.T) {
	d := openTestStore(t, filepath.Join(t.TempDir(), "packages"))
	content := bytes.Repeat([]byte("package "), 100_000)
	sha, sum := fmt.Sprintf("%x", sha256.Sum256(content)), fmt.Sprintf("%x", md5.Sum(content))
	for range 2 { // the second time the file exists
		in, err := d.Receive(iotest.HalfReader(bytes.NewReader(content)), int64(len(content)))
		if err != nil {
			t.Fatal(err)
		}
		if in.Size != int64(len(content)) || in.SHA256 != sha || in.MD5 != sum {
			t.Errorf("CP-06 arrived %d bytes, %s, %s", in.Size, in.SHA256, in.MD5)
		}
		if err := errors.Join(in.Keep(), in.Close()); err != nil {
			t.Fatal(err)
		}
	}
	f, err := d.OpenFile(sha)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, content) {
		t.Errorf("CP-06 read %d bytes: %v", len(got), err)
	}
	if got := listNames(t, d); len(got) != 1 || got[0] != sha {
		t.Errorf("folder holds %v", got)
	}
	if err := errors.Join(d.Remove(sha), d.Remove(sha)); err != nil {
		t.Error(err)
	}
	if got := listNames(t, d); len(got) > 0 {
		t.Errorf("folder holds %v", got)
	}
}

func TestFailedReceiveLeavesNothing(t *testing.T) {
	d := openTestStore(t, filepath.Join(t.TempDir(), "packages"))
	gone := errors.New("client went away")
	for name, tc := range map[string]struct {
		source io.Reader
		want   error
	}{
		"too large":           {strings.NewReader("12345"), ErrTooLarge},
		"too large, in bits":  {iotest.OneByteReader(strings.NewReader("12345")), ErrTooLarge},
		"source fails":        {io.MultiReader(strings.NewReader("12"), iotest.ErrReader(gone)), gone},
		"source fails at end": {io.MultiReader(strings.NewReader("1234"), iotest.ErrReader(gone)), gone},
	} {
		t.Run("CP-06 "+name, func(t *testing.T) {
			if _, err := d.Receive(tc.source, 4); !errors.Is(err, tc.want) {
				t.Errorf("error %v, want %v", err, tc.want)
			}
			if got := listNames(t, d); len(got) > 0 {
				t.Errorf("left %v", got)
			}
		})
	}
	t.Run("CP-06 not kept", func(t *testing.T) {
		in, err := d.Receive(strings.NewReader("1234"), 4)
		if err != nil {
			t.Fatal(err)
		}
		if err := in.Close(); err != nil {
			t.Error(err)
		}
		if got := listNames(t, d); len(got) > 0 {
			t.Errorf("left %v", got)
		}
	})
}

func TestOpenRemovesIncompleteFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "packages")
	d := openTestStore(t, dir)
	if _, err := d.Receive(strings.NewReader("neither kept nor closed"), 100); err != nil {
		t.Fatal(err)
	}
	digest := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return hex.EncodeToString(sum[:])
	}
	for _, name := range []string{digest("a"), digest("b"), "README"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d.Close()
	d = openTestStore(t, dir)
	if got := listNames(t, d); len(got) != 3 {
		t.Errorf("CP-06 files after the second Open: %v", got)
	}
	if err := d.RemoveUnwanted(map[string]bool{digest("a"): true}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(listNames(t, d), " "); got != "README "+digest("a") && got != digest("a")+" README" {
		t.Errorf("CP-06 files after RemoveUnwanted: %s", got)
	}
}

func TestOnlyDigestsNameFiles(t *testing.T) {
	d := openTestStore(t, filepath.Join(t.TempDir(), "packages"))
	for _, name := range []string{"", ".", "..", lockName, "../" + strings.Repeat("a", 64), strings.Repeat("A", 64), strings.Repeat("a", 63)} {
		if _, err := d.OpenFile(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q opens: %v", name, err)
		}
		if err := d.Remove(name); err == nil {
			t.Errorf("%q was removed", name)
		}
	}
}

func TestOneProcessAtATime(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "packages")
	openTestStore(t, dir)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := Open(ctx, dir)
	var held *lock.HeldError
	if !errors.As(err, &held) || held.PID != os.Getpid() {
		t.Errorf("error %v", err)
	}
}
