package pkgcheck

import (
	"archive/zip"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"pluginsupervisor/plugin"
)

// The bounds of a name. A package needs no deeper or longer ones, and they can harm
// the programs that walk it.
const (
	maxDepth   = 32
	maxPath    = 1024 // bytes
	maxElement = 255  // bytes
)

// Constants of stat(2) and of the zip format.
const (
	formatMask = 0o170000
	formatFile = 0o100000
	formatDir  = 0o040000
	extraModes = 0o7000 // setuid, setgid, sticky

	flagEncrypted = 1<<0 | 1<<6 | 1<<13 // of any kind

	extraPKUnix = 0x000d // its variable part is the target of a link
	extraASi    = 0x756e // likewise
)

// freeSize is the unpacked size up to which the ratio is not checked, in bytes: a
// small package of text compresses well and harms no host.
const freeSize = 1 << 20

// checkEntries checks the list of entries. It returns the folders, parents before
// children, and the files.
func checkEntries(entries []*zip.File, packed int64, limits Limits) (folders []string, files []*zip.File, err error) {
	if len(entries) == 0 {
		return nil, nil, newError(BadEntry, "package is empty")
	}
	if len(entries) > limits.Entries {
		return nil, nil, newError(BadEntry, "package has %d entries, at most %d allowed", len(entries), limits.Entries)
	}
	n := names{spelling: map[string]string{}, isFolder: map[string]bool{}, limit: limits.Entries}
	var total uint64
	for _, e := range entries {
		name, isFolder := strings.CutSuffix(e.Name, "/")
		err := checkEntry(e)
		if err == nil {
			err = n.addFile(name, isFolder)
		}
		if err != nil {
			return nil, nil, newError(BadEntry, "package entry %q: %w", shortenName(e.Name), err)
		}
		if isFolder {
			continue
		}
		files = append(files, e)
		if e.UncompressedSize64 > uint64(limits.Size) || total+e.UncompressedSize64 > uint64(limits.Size) {
			return nil, nil, newError(BadEntry, "package unpacks to more than %d bytes", limits.Size)
		}
		total += e.UncompressedSize64
	}
	if total > freeSize && (total-1)/uint64(limits.Ratio) >= uint64(packed) { // packed*Ratio may overflow
		return nil, nil, newError(BadEntry, "package of %d bytes unpacks to %d, more than %d times as many", packed, total, limits.Ratio)
	}
	return n.folders, files, nil
}

// withoutMacFiles returns the entries without those that macOS adds by itself. They
// are not unpacked, so no rule applies to them.
func withoutMacFiles(entries []*zip.File) []*zip.File {
	return slices.DeleteFunc(slices.Clone(entries), func(e *zip.File) bool {
		return strings.HasPrefix(e.Name, "__MACOSX/") || path.Base(e.Name) == ".DS_Store"
	})
}

// checkEntry checks one entry by itself.
func checkEntry(e *zip.File) error {
	if err := checkName(e.Name); err != nil {
		return err
	}
	isFolder := strings.HasSuffix(e.Name, "/")
	mode := unixMode(e)
	switch format := mode & formatMask; {
	case format != 0 && format != formatFile && format != formatDir:
		return fmt.Errorf("is a link, device or other special file (mode %o)", mode)
	case format == formatDir && !isFolder, format == formatFile && isFolder:
		return errors.New("is a file by its name and a folder by its mode, or the reverse")
	case mode&extraModes != 0:
		return fmt.Errorf("is setuid, setgid or sticky (mode %o)", mode)
	case e.Flags&flagEncrypted != 0:
		return errors.New("is encrypted")
	case e.Method != zip.Store && e.Method != zip.Deflate:
		return fmt.Errorf("compressed by unknown method %d", e.Method)
	case isFolder && e.UncompressedSize64 != 0:
		return errors.New("is a folder with contents")
	case hasLink(e.Extra):
		return errors.New("is a hard link")
	}
	return nil
}

// Mode returns the mode that a host gives a file of the package: 0755 when it is
// the executable (SPEC 1), when anyone may execute it or when the archive has no
// modes, else 0644.
func (p *Package) Mode(f *zip.File) fs.FileMode {
	if f.Name == p.entryName(p.Config.RunPath) || unixMode(f) == 0 || unixMode(f)&0o111 != 0 {
		return 0o755
	}
	return 0o644
}

// unixMode returns the mode as Unix has it, 0 where the archive has none.
func unixMode(e *zip.File) uint32 { return e.ExternalAttrs >> 16 }

// hasLink reports whether an extra field names the target of a link.
func hasLink(extra []byte) bool {
	for len(extra) >= 4 {
		id, size := binary.LittleEndian.Uint16(extra), int(binary.LittleEndian.Uint16(extra[2:]))
		switch {
		case id == extraPKUnix && size > 12, id == extraASi && size > 14:
			return true
		case size > len(extra)-4:
			return false
		}
		extra = extra[4+size:]
	}
	return false
}

func checkName(name string) error {
	trimmed := strings.TrimSuffix(name, "/")
	switch {
	case trimmed == "":
		return errors.New("has no name")
	case strings.HasPrefix(name, "/"):
		return errors.New("is an absolute path")
	case len(name) > maxPath:
		return fmt.Errorf("name of %d bytes, at most %d allowed", len(name), maxPath)
	case !utf8.ValidString(name):
		return errors.New("name is not UTF-8")
	case strings.Contains(name, `\`):
		return errors.New("name holds a backslash")
	case strings.ContainsFunc(name, unicode.IsControl):
		return errors.New("name holds a control character")
	}
	elements := strings.Split(trimmed, "/")
	if len(elements) > maxDepth {
		return fmt.Errorf("%d folders deep, at most %d allowed", len(elements), maxDepth)
	}
	for _, e := range elements {
		switch {
		case e == "..":
			return errors.New("leaves the package")
		case e == "" || e == ".":
			return errors.New("name has an empty part")
		case len(e) > maxElement:
			return fmt.Errorf("name has a part of %d bytes, at most %d allowed", len(e), maxElement)
		}
	}
	return nil
}

// names checks that every name is unique, also on file systems that ignore case.
type names struct {
	spelling map[string]string // in lower case → as first seen
	isFolder map[string]bool   // by the name as first seen
	folders  []string          // parents before children
	limit    int               // of folders
}

func (n *names) addFile(name string, isFolder bool) error {
	for _, dir := range listParents(name) {
		if err := n.addFolder(dir); err != nil {
			return err
		}
	}
	if isFolder {
		return n.addFolder(name)
	}
	lower := strings.ToLower(name)
	if first, seen := n.spelling[lower]; seen {
		return newClashError(first, name)
	}
	n.spelling[lower], n.isFolder[name] = name, false
	return nil
}

// addFolder may be called more than once for the same folder.
func (n *names) addFolder(name string) error {
	lower := strings.ToLower(name)
	first, seen := n.spelling[lower]
	switch {
	case !seen:
	case first != name:
		return newClashError(first, name)
	case !n.isFolder[name]:
		return fmt.Errorf("file %q is used as a folder", shortenName(name))
	default:
		return nil
	}
	if len(n.folders) >= n.limit {
		return fmt.Errorf("more than %d folders", n.limit)
	}
	n.spelling[lower], n.isFolder[name] = name, true
	n.folders = append(n.folders, path.Clean(name))
	return nil
}

// listParents returns the folders above a name, outermost first.
func listParents(name string) []string {
	var all []string
	for dir := path.Dir(name); dir != "." && dir != "/"; dir = path.Dir(dir) {
		all = append(all, dir)
	}
	slices.Reverse(all)
	return all
}

func newClashError(first, second string) error {
	if first == second {
		return errors.New("is there twice")
	}
	return fmt.Errorf("differs from %q only in case", shortenName(first))
}

// maxShown is how much of a name a message shows, in bytes.
const maxShown = 100

// shortenName returns a name for a message.
func shortenName(name string) string {
	if len(name) > maxShown {
		return plugin.TruncateText(name, maxShown) + "…"
	}
	return name
}
