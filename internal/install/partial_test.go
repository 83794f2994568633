package install_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pluginsupervisor/internal/install"
)

// mirror serves a package and records the requested ranges. While it is broken,
// it sends half of the package, then 404, by turns.
type mirror struct {
	*httptest.Server
	mu     sync.Mutex
	broken bool
	cut    bool
	ranges []string
}

func newMirror(t *testing.T, body []byte) *mirror {
	t.Helper()
	m := &mirror{broken: true}
	m.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.mu.Lock()
		m.ranges = append(m.ranges, r.Header.Get("Range"))
		away, cut := m.broken && m.cut, m.broken
		m.cut = m.broken && !m.cut
		m.mu.Unlock()
		w.Header().Set("ETag", `"one"`)
		switch {
		case away:
			http.NotFound(w, r)
		case cut:
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
			w.Write(body[:len(body)/2])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		default:
			http.ServeContent(w, r, "p.zip", time.Time{}, bytes.NewReader(body))
		}
	}))
	t.Cleanup(m.Close)
	return m
}

func (m *mirror) repair() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.broken, m.ranges = false, nil
}

// listPartials returns the folders of partial downloads; staging must hold no
// others.
func listPartials(t *testing.T, root string) (names []string) {
	t.Helper()
	all, err := os.ReadDir(filepath.Join(root, "supervisor", "staging"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if !strings.HasPrefix(e.Name(), "partial-") {
			t.Errorf("left in staging: %s", e.Name())
		}
		names = append(names, e.Name())
	}
	return names
}

func checkStageFails(t *testing.T, i *install.Installer, r install.Request) {
	t.Helper()
	if _, err := i.Stage(t.Context(), r); err == nil {
		t.Fatal("staged, want an error")
	}
}

// UP-14: a partial download survives the attempt, a sweep and the process. It is
// removed when the package is complete.
func TestDownloadResumes(t *testing.T) {
	z := sample().withFile("data", strings.Repeat("x", 100_000)).zip(t)
	root, m := newRoot(t), newMirror(t, z)
	r := install.Request{Source: m.URL, Name: "agent", SHA256: fmt.Sprintf("%x", sha256.Sum256(z)), Resume: true}
	checkStageFails(t, newInstaller(t, root, nil), r)
	m.repair()
	later := newInstaller(t, root, nil)
	if n, err := later.Sweep(t.Context()); n != 0 || err != nil || len(listPartials(t, root)) != 1 {
		t.Fatalf("swept %d, %v, left %v", n, err, listPartials(t, root))
	}
	s, err := later.Stage(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("bytes=%d-", len(z)/2); len(m.ranges) != 1 || m.ranges[0] != want {
		t.Errorf("requested %q, want %s", m.ranges, want)
	}
	if err := s.Discard(); err != nil {
		t.Fatal(err)
	}
	if left := listPartials(t, root); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

// UP-14: a complete download with a wrong digest is not resumed.
func TestBadDownloadIsNotResumed(t *testing.T) {
	root, m := newRoot(t), newMirror(t, sample().zip(t))
	m.repair()
	r := install.Request{Source: m.URL, Name: "agent", MD5: "00", Resume: true}
	for range 2 {
		checkStageFails(t, newInstaller(t, root, nil), r)
		if left := listPartials(t, root); len(left) > 0 {
			t.Errorf("left %v", left)
		}
	}
	if fmt.Sprint(m.ranges) != "[ ]" {
		t.Errorf("requested ranges %q, want two requests without a range", m.ranges)
	}
}

// UP-14: without Resume no partial download is kept.
func TestNoResume(t *testing.T) {
	root, m := newRoot(t), newMirror(t, sample().zip(t))
	checkStageFails(t, newInstaller(t, root, nil), install.Request{Source: m.URL, Name: "agent"})
	checkUntouched(t, root)
}

// UP-14: two downloads of the same package do not write to the same file.
func TestSameDownloadTwice(t *testing.T) {
	root, i := newRoot(t), (*install.Installer)(nil)
	z := sample().zip(t)
	asked, resume := make(chan struct{}, 2), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		<-resume
		w.Write(z)
	}))
	defer server.Close()
	i = newInstaller(t, root, nil)
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			s, err := i.Stage(context.Background(), install.Request{Source: server.URL, Name: "agent", Resume: true})
			if err != nil {
				t.Error(err)
				return
			}
			if err := s.Discard(); err != nil {
				t.Error(err)
			}
		})
	}
	<-asked
	<-asked
	close(resume)
	both.Wait()
	checkUntouched(t, root)
}

// UP-14: partial downloads are limited to one for each plugin, in number and in
// age.
func TestPartialsAreBounded(t *testing.T) {
	root := newRoot(t)
	z := sample().zip(t)
	now := time.Now()
	later := newInstaller(t, root, func(c *install.Config) { c.Now = func() time.Time { return now } })
	part := func(name, version string) {
		m := newMirror(t, z)
		checkStageFails(t, later, install.Request{Source: m.URL + "/" + version, Name: name, Version: version, Resume: true})
	}
	part("agent", "1")
	part("agent", "2")
	if left := listPartials(t, root); len(left) != 1 {
		t.Errorf("of one plugin: %v, want 1", left)
	}
	for n := range 10 {
		part("", fmt.Sprint(n)) // packages of unknown name
	}
	if left := listPartials(t, root); len(left) != 8 {
		t.Errorf("of many: %d, want 8", len(left))
	}
	now = now.Add(6 * 24 * time.Hour)
	if n, err := later.Sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("after 6 days: swept %d, %v, want 0", n, err)
	}
	now = now.Add(2 * 24 * time.Hour)
	if n, err := later.Sweep(t.Context()); n != 8 || err != nil {
		t.Errorf("after 8 days: swept %d, %v, want 8", n, err)
	}
	checkUntouched(t, root)
}
