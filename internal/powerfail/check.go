package powerfail

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// Image is a folder as a power failure may leave the recorded one.
type Image struct {
	Path         string
	Acknowledged int // number of calls of Acknowledge before the failure
	// Holed reports whether a file lacks a part in the middle of its unflushed data:
	// a checksum may report it as damaged.
	Holed bool
}

// Check calls verify for each image of each failure. verify returns an error for a
// wrong image, and may be called concurrently. Check adds to flushes which kinds of
// flushes are needed: without them some image is wrong. flushes is nil for work that
// need not survive a failure.
func (r *Recording) Check(t testing.TB, flushes Flushes, verify func(Image) error) {
	t.Helper()
	c := &checker{base: imageFolder(t), verify: verify, seen: map[key]bool{}, files: contents{}}
	cuts, wrong := c.checkCuts(r.ops, nil, 5)
	for _, err := range wrong {
		t.Error(err)
	}
	if len(wrong) > 0 {
		return
	}
	if flushes == nil {
		t.Logf("%d images of %d cuts", c.images, cuts)
		return
	}
	images, kinds := c.images, r.flushKinds()
	for name, dropped := range kinds {
		if flushes[name] {
			continue // an earlier recording needs it
		}
		_, wrong := c.checkCuts(r.ops, dropped, 1)
		if flushes[name] = len(wrong) > 0; flushes[name] {
			t.Logf("%s is needed: without it, %v", name, wrong[0])
		}
	}
	t.Logf("%d images of %d cuts, %d more without one of %d kinds of flushes", images, cuts, c.images-images, len(kinds))
}

// Flushes holds the kinds of flushes of one or more recordings, and whether they are
// needed. A kind names the flushed path and the changes before it: "flush of a/b after
// rename".
type Flushes map[string]bool

// CheckNeeded fails the test for each kind that is not needed. Exceptions are the keys
// of redundant, which holds the reasons, and kinds that begin with a key that ends with
// a slash.
func (f Flushes) CheckNeeded(t testing.TB, redundant map[string]string) {
	t.Helper()
	used := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(f)) {
		named := ""
		for key := range redundant {
			if name == key || strings.HasSuffix(key, "/") && strings.HasPrefix(name, key) {
				named, used[key] = key, true
			}
		}
		switch {
		case f[name] && named != "":
			t.Errorf("%s is needed, but is listed as redundant", name)
		case named != "":
			t.Logf("%s is redundant: %s", name, redundant[named])
		case !f[name]:
			t.Errorf("%s is not needed: without it no test fails", name)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(redundant)) {
		if !used[key] {
			t.Errorf("%s is listed as redundant, but does not occur", key)
		}
	}
}

// imageFolder returns a new folder for the images, in memory if possible.
func imageFolder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "powerfail-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// checker verifies images, each once.
type checker struct {
	base   string
	verify func(Image) error

	seen   map[key]bool
	images int // number of verified images
	files  contents
}

// key identifies an image.
type key struct {
	content      [sha256.Size]byte
	acknowledged int
	holed        bool
}

// job is an image to verify.
type job struct {
	key         key
	disk        disk
	image       Image
	description string
}

// checkCuts verifies the images of all cuts behind opSettle. It returns the number of
// cuts and at most the given number of errors. The flushes with an index in dropped are
// left out.
func (c *checker) checkCuts(ops []op, dropped map[int]bool, most int) (cuts int, wrong []error) {
	var mu sync.Mutex // guards wrong and again
	var again []key   // verified again if they occur again
	var running sync.WaitGroup
	jobs := make(chan job)
	for range runtime.GOMAXPROCS(0) {
		running.Go(func() {
			for j := range jobs {
				if err := c.verifyJob(j); err != nil {
					mu.Lock()
					wrong = append(wrong, fmt.Errorf("%s: %w", j.description, err))
					again = append(again, j.key)
					mu.Unlock()
				}
			}
		})
	}
	enough := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(wrong) >= most
	}
	begin := slices.IndexFunc(ops, func(o op) bool { return o.Kind == opSettle })
	if len(dropped) > 0 { // nothing differs before the first dropped flush
		begin = max(begin, slices.Min(slices.Collect(maps.Keys(dropped))))
	}
	h, lacks := newHistory(ops[:begin+1], dropped), missingFlushes{}
	lacks.update(begin, ops[begin], dropped)
	for i := begin + 1; i < len(ops) && !enough(); i++ {
		h.add(i, ops, dropped)
		lacks.update(i, ops[i], dropped)
		if len(dropped) > 0 && len(lacks) == 0 {
			continue // later flushes replaced the dropped ones
		}
		cuts++
		for choice := range h.choices() {
			if j, fresh := c.newJob(h, choice); fresh && !enough() {
				jobs <- j
			}
		}
	}
	close(jobs)
	running.Wait()
	for _, k := range again {
		delete(c.seen, k)
	}
	return cuts, wrong[:min(most, len(wrong))]
}

// missingFlushes holds the inodes with a dropped flush that no later flush replaces,
// and whether that flush must include the mode.
type missingFlushes map[uint64]bool

func (l missingFlushes) update(i int, o op, dropped map[int]bool) {
	switch {
	case o.Kind != opFlush:
	case dropped[i]:
		l[o.Inode] = l[o.Inode] || !o.DataOnly
	case !o.DataOnly || !l[o.Inode]:
		delete(l, o.Inode)
	}
}

// newJob returns the job of a choice, false for a known image.
func (c *checker) newJob(h *history, choice choice) (job, bool) {
	d := h.buildDisk(choice, c.files)
	k := key{d.digest(), h.marks, choice.holed}
	if c.seen[k] {
		return job{}, false
	}
	c.seen[k] = true
	c.images++
	last := h.ops[len(h.ops)-1]
	return job{
		key:         k,
		disk:        d,
		image:       Image{filepath.Join(c.base, fmt.Sprint(c.images)), h.marks, choice.holed},
		description: fmt.Sprintf("failure %d after %q of %s (%s)", len(h.ops), last.Kind, last.Name+last.Path, choice.description),
	}, true
}

// verifyJob writes an image to disk and verifies it.
func (c *checker) verifyJob(j job) error {
	if err := j.disk.writeTo(j.image.Path); err != nil {
		return fmt.Errorf("write image: %w", err)
	}
	err := c.verify(j.image)
	if err != nil {
		err = fmt.Errorf("%w; the image is\n%s", err, j.disk.describe())
	}
	return errors.Join(err, os.RemoveAll(j.image.Path))
}

// digest returns a digest of everything that writeTo writes.
func (d disk) digest() [sha256.Size]byte {
	var b []byte
	_ = d.walk(root, "", func(at string, number uint64) error { // each never fails
		n := d[number]
		b = binary.LittleEndian.AppendUint32(append(b, at...), n.mode)
		b = append(append(append(b, n.target...), 0), n.sum[:]...)
		return nil
	})
	return sha256.Sum256(b)
}

// describe returns all paths with their modes and sizes.
func (d disk) describe() string {
	var b strings.Builder
	_ = d.walk(root, "", func(at string, number uint64) error { // each never fails
		fmt.Fprintf(&b, "\t%o %6d %s\n", d[number].mode, len(d[number].data), at)
		return nil
	})
	return b.String()
}

// writeTo writes everything below the root into a new folder.
func (d disk) writeTo(folder string) error {
	if err := os.Mkdir(folder, 0o755); err != nil {
		return err
	}
	written := map[uint64]string{}
	return d.walk(root, "", func(at string, number uint64) error {
		n, path := d[number], filepath.Join(folder, at)
		if first, linked := written[number]; linked {
			return os.Link(first, path)
		}
		written[number] = path
		var err error
		switch n.mode & unix.S_IFMT {
		case unix.S_IFDIR:
			err = os.Mkdir(path, 0o700)
		case unix.S_IFLNK:
			return os.Symlink(n.target, path)
		case unix.S_IFREG:
			err = os.WriteFile(path, n.data, 0o600)
		default:
			err = unix.Mknod(path, n.mode, 0)
		}
		return errors.Join(err, unix.Chmod(path, n.mode&^unix.S_IFMT))
	})
}

// randomParts matches the parts of names that differ in each run.
var randomParts = regexp.MustCompile(`[0-9]{4,}|[A-Z2-7]{26}|[0-9a-f]{32}`)

// flushKinds returns the indexes of the flushes that follow a change, by kind: "flush
// of transactions after rename".
func (r *Recording) flushKinds() map[string]map[int]bool {
	kinds := map[string]map[int]bool{}
	since := map[uint64]map[kind]bool{} // by inode
	note := func(number uint64, k kind) {
		if since[number] == nil {
			since[number] = map[kind]bool{}
		}
		since[number][k] = true
	}
	for i, o := range r.ops {
		switch o.Kind {
		case opMake, opLink, opRemove, opRename:
			note(o.Folder, o.Kind)
			if o.Kind == opRename {
				note(o.ToFolder, o.Kind)
			}
		case opWrite, opTruncate, opMode:
			note(o.Inode, o.Kind)
		case opSettle:
			clear(since)
			clear(kinds)
		case opFlush:
			if len(since[o.Inode]) == 0 {
				continue
			}
			name := fmt.Sprintf("flush of %s after %s", randomParts.ReplaceAllString(o.Path, "*"), joinKinds(slices.Sorted(maps.Keys(since[o.Inode]))))
			if kinds[name] == nil {
				kinds[name] = map[int]bool{}
			}
			kinds[name][i] = true
			delete(since, o.Inode)
		}
	}
	return kinds
}

func joinKinds(kinds []kind) string {
	var words []string
	for _, k := range kinds {
		words = append(words, string(k))
	}
	return strings.Join(words, ", ")
}
