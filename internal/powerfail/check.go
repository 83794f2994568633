package powerfail

import (
	"crypto/sha256"
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
	Acknowledged int // how often the work had called Acknowledge before
	// Holed reports that a file has only a part of what was written since its last
	// flush, and not its beginning: a checksum may find it damaged.
	Holed bool
}

// Check has verify open each image of each failure; verify returns what is wrong
// with it, and may be called by several goroutines at once. Then it checks that
// without the flushes of each kind some image is wrong. redundant holds the kinds
// for which that is not so, with the reason.
func (r *Recording) Check(t testing.TB, redundant map[string]string, verify func(Image) error) {
	t.Helper()
	c := &checker{base: imageFolder(t), verify: verify, seen: map[key]bool{}}
	cuts, wrong := c.check(r.ops, nil, 5)
	for _, err := range wrong {
		t.Error(err)
	}
	if len(wrong) > 0 {
		return
	}
	kinds := r.flushKinds()
	t.Logf("%d images of %d cuts; %d kinds of flushes", c.images, cuts, len(kinds))
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		_, wrong := c.check(r.ops, kinds[name], 1)
		switch reason, known := redundant[name]; {
		case len(wrong) > 0 && known:
			t.Errorf("%s is not redundant: without it, %v", name, wrong[0])
		case len(wrong) > 0:
			t.Logf("%s is needed: without it, %v", name, wrong[0])
		case known:
			t.Logf("%s is redundant: %s", name, reason)
		default:
			t.Errorf("%s: without it no test fails", name)
		}
	}
	for name := range redundant {
		if kinds[name] == nil {
			t.Errorf("%s is named redundant, and is not done", name)
		}
	}
	t.Logf("%d images with those of flushes left out", c.images)
}

// imageFolder returns a new folder for the images, in memory where that is possible.
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
	images int // how many were verified
}

// key tells images apart.
type key struct {
	content      [sha256.Size]byte
	acknowledged int
	holed        bool
}

// job is an image to verify.
type job struct {
	key   key
	disk  disk
	image Image
	what  string
}

// check verifies the images of all cuts behind what is settled, and returns how
// many cuts there are and at most so many errors. The flushes of the indexes in
// dropped did not happen.
func (c *checker) check(ops []op, dropped map[int]bool, most int) (cuts int, wrong []error) {
	var mu sync.Mutex // guards wrong and again
	var again []key   // to be verified again where they occur again
	var running sync.WaitGroup
	jobs := make(chan job)
	for range runtime.GOMAXPROCS(0) {
		running.Go(func() {
			for j := range jobs {
				if err := c.open(j); err != nil {
					mu.Lock()
					wrong = append(wrong, fmt.Errorf("%s: %w", j.what, err))
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
	if len(dropped) > 0 { // nothing differs before the first of them
		begin = max(begin, slices.Min(slices.Collect(maps.Keys(dropped))))
	}
	h := newHistory(ops[:begin+1], dropped)
	for i := begin + 1; i < len(ops) && !enough(); i++ {
		h.add(i, ops, dropped)
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

// newJob returns the job of a choice, false for one that is known.
func (c *checker) newJob(h *history, choice choice) (job, bool) {
	d := h.disk(choice)
	k := key{d.sum(), h.marks, choice.holed}
	if c.seen[k] {
		return job{}, false
	}
	c.seen[k] = true
	c.images++
	last := h.ops[len(h.ops)-1]
	return job{
		key:   k,
		disk:  d,
		image: Image{filepath.Join(c.base, fmt.Sprint(c.images)), h.marks, choice.holed},
		what:  fmt.Sprintf("failure %d after %q of %s (%s)", len(h.ops), last.Kind, last.Name+last.Path, choice.what),
	}, true
}

// open writes an image and verifies it.
func (c *checker) open(j job) error {
	if err := j.disk.write(j.image.Path); err != nil {
		return fmt.Errorf("write image: %w", err)
	}
	err := c.verify(j.image)
	if err != nil {
		err = fmt.Errorf("%w; it was\n%s", err, j.disk.list())
	}
	return errors.Join(err, os.RemoveAll(j.image.Path))
}

// sum returns the digest of all that write writes.
func (d disk) sum() [sha256.Size]byte {
	h := sha256.New()
	_ = d.walk(root, "", func(at string, number uint64) error { // writing to a hash never fails
		n := d[number]
		fmt.Fprintf(h, "%q %o %q %d\n", at, n.mode, n.target, len(n.data))
		h.Write(n.data)
		return nil
	})
	return [sha256.Size]byte(h.Sum(nil))
}

// list returns the paths with their modes and sizes.
func (d disk) list() string {
	var b strings.Builder
	_ = d.walk(root, "", func(at string, number uint64) error { // each never fails
		fmt.Fprintf(&b, "\t%o %6d %s\n", d[number].mode, len(d[number].data), at)
		return nil
	})
	return b.String()
}

// write writes everything below the root into a new folder.
func (d disk) write(folder string) error {
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

// changing matches the parts of names that differ from run to run.
var changing = regexp.MustCompile(`[0-9]{6,}|[A-Z2-7]{26}|[0-9a-f]{32}`)

// flushKinds returns the flushes that had something to flush, by what they flush
// and after what: "flush of transactions after rename".
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
			name := fmt.Sprintf("flush of %s after %s", changing.ReplaceAllString(o.Path, "*"), join(slices.Sorted(maps.Keys(since[o.Inode]))))
			if kinds[name] == nil {
				kinds[name] = map[int]bool{}
			}
			kinds[name][i] = true
			delete(since, o.Inode)
		}
	}
	return kinds
}

func join(kinds []kind) string {
	var words []string
	for _, k := range kinds {
		words = append(words, string(k))
	}
	return strings.Join(words, ", ")
}
