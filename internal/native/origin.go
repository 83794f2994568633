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
	// originTimeout bounds the wait for the folder of one version.
	originTimeout = 200 * time.Millisecond
	// listOriginTimeout bounds the wait of a list for all of them. What is known later
	// is in the next list.
	listOriginTimeout = 250 * time.Millisecond
)

// origins remembers how the packages of installed versions were verified. The
// file that says so is in the version's folder, which may be on a file system that
// does not answer. So it is read in the background, once, and again only when
// another file replaces it.
type origins struct {
	turn chan struct{} // holds one element while folders are read
	hung bounded.Set   // folders that do not answer

	mu    sync.Mutex
	known map[string]knownOrigin // by folder
}

// knownOrigin holds the content of a file, and its identity.
type knownOrigin struct {
	file fileID
	by   plugin.Verified
}

// fileID identifies a file and its content. The zero value identifies no file.
type fileID struct {
	dev, inode uint64
	changed    syscall.Timespec
}

func newOrigins() origins {
	return origins{turn: make(chan struct{}, 1), known: map[string]knownOrigin{}}
}

// addVerified adds to the plugins how they were verified, as far as that is known in
// time.
func (o *origins) addVerified(root string, ps []plugin.Plugin) {
	timeout := time.NewTimer(listOriginTimeout)
	defer timeout.Stop()
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
				o.readFolder(dir, p)
			}
		}()
		select {
		case <-read:
		case <-timeout.C:
		}
	case <-timeout.C:
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

// readFolder reads the file in one folder, unless it is known. The content of a
// folder that takes too long is kept when it comes.
func (o *origins) readFolder(dir string, p plugin.Plugin) {
	o.mu.Lock()
	last, known := o.known[dir]
	o.mu.Unlock()
	keep := func(found knownOrigin) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.known[dir] = found
	}
	found, err := bounded.Run(&o.hung, dir, o.hung.NextLimit(originTimeout), func() knownOrigin {
		file := identifyFile(filepath.Join(dir, layout.Origin))
		if known && file == last.file {
			return last
		}
		return knownOrigin{file, install.VerifiedBy(dir, p.Name, p.Version)}
	}, keep)
	if err == nil {
		keep(found)
	}
}

// forgetOthers forgets the folders of all but the given plugins.
func (o *origins) forgetOthers(root string, ps []plugin.Plugin) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.known) <= len(ps) {
		return
	}
	kept := make(map[string]knownOrigin, len(ps))
	for _, p := range ps {
		dir := layout.Version(root, p.Name, p.Version)
		if found, known := o.known[dir]; known {
			kept[dir] = found
		}
	}
	o.known = kept
}

func identifyFile(path string) fileID {
	info, err := os.Lstat(path)
	if err != nil {
		return fileID{}
	}
	st := info.Sys().(*syscall.Stat_t) // always, on Linux
	return fileID{dev: st.Dev, inode: st.Ino, changed: st.Ctim}
}
