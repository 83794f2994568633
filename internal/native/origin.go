package native

import (
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"pluginsupervisor/internal/bounded"
	"pluginsupervisor/internal/install"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/plugin"
)

const (
	// originLimit is how long the folder of one version is waited for.
	originLimit = 200 * time.Millisecond
	// listWait is how long a list waits for all of them. What is known later is
	// in the next list.
	listWait = 250 * time.Millisecond
)

// origins remembers by what the packages of installed versions were verified.
// The file that says so is in the version's folder, which may be on a file
// system that does not answer. So it is read off the list's path, once, and
// again only when another file takes its place.
type origins struct {
	turn chan struct{} // holds one element while folders are read
	hung bounded.Set   // folders that do not answer

	mu    sync.Mutex
	known map[string]foundOrigin // by folder
}

// foundOrigin is what a file said, and which file that was.
type foundOrigin struct {
	file fileID
	by   plugin.Verified
}

// fileID identifies a file and its content. The zero value is that of no file.
type fileID struct {
	dev, inode uint64
	changed    syscall.Timespec
}

func newOrigins() origins {
	return origins{turn: make(chan struct{}, 1), known: map[string]foundOrigin{}}
}

// add adds to the plugins by what they were verified, as far as that is known
// in time.
func (o *origins) add(root string, ps []plugin.Plugin) {
	over := time.NewTimer(listWait)
	defer over.Stop()
	select {
	case o.turn <- struct{}{}:
		read := make(chan struct{})
		folders := make(map[string]plugin.Plugin, len(ps))
		for _, p := range ps {
			if hasOrigin(p) {
				folders[layout.Version(root, p.Name, p.Version)] = p
			}
		}
		go func() {
			defer close(read)
			defer func() { <-o.turn }()
			for dir, p := range folders {
				o.read(dir, p)
			}
		}()
		select {
		case <-read:
		case <-over.C:
		}
	case <-over.C:
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, p := range ps {
		if hasOrigin(p) {
			ps[i].Verified = o.known[layout.Version(root, p.Name, p.Version)].by
		}
	}
}

func hasOrigin(p plugin.Plugin) bool { return p.Name != "" && !p.Removed }

// read reads the file in one folder, unless it is the one that is known. The
// answer of a folder that takes too long is taken when it comes.
func (o *origins) read(dir string, p plugin.Plugin) {
	o.mu.Lock()
	last, known := o.known[dir]
	o.mu.Unlock()
	keep := func(found foundOrigin) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.known[dir] = found
	}
	found, err := bounded.Run(&o.hung, dir, o.hung.NextLimit(originLimit), func() foundOrigin {
		file := identify(filepath.Join(dir, layout.Origin))
		if known && file == last.file {
			return last
		}
		return foundOrigin{file, install.VerifiedBy(dir, p.Name, p.Version)}
	}, keep)
	if err == nil {
		keep(found)
	}
}

// keep forgets the folders of all but the given plugins.
func (o *origins) keep(root string, ps []plugin.Plugin) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.known) <= len(ps) {
		return
	}
	kept := make(map[string]foundOrigin, len(ps))
	for _, p := range ps {
		dir := layout.Version(root, p.Name, p.Version)
		if found, known := o.known[dir]; known {
			kept[dir] = found
		}
	}
	o.known = kept
}

func identify(path string) fileID {
	info, err := os.Lstat(path)
	if err != nil {
		return fileID{}
	}
	st := info.Sys().(*syscall.Stat_t) // always, on Linux
	return fileID{dev: st.Dev, inode: st.Ino, changed: st.Ctim}
}
