package unpack

import (
	"archive/zip"
	"encoding/binary"
	"errors"
	"fmt"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The bounds of a name. Deeper or longer ones are of no use to a package, and of
// some use against the programs that walk it.
const (
	maxDepth   = 32
	maxPath    = 1024 // bytes
	maxElement = 255  // bytes
)

// What stat(2) and the zip format say in numbers.
const (
	formatMask = 0o170000
	formatFile = 0o100000
	formatDir  = 0o040000
	extraModes = 0o7000 // setuid, setgid, sticky

	flagEncrypted = 1<<0 | 1<<6 | 1<<13 // of any kind

	extraPKUnix = 0x000d // its variable part is the target of a link
	extraASi    = 0x756e // likewise
)

type plan struct {
	folders []string // parents before children
	files   []*zip.File
}

// judge refuses what the central directory tells must not be unpacked.
func judge(entries []*zip.File, packed int64, limits Limits) (plan, error) {
	if len(entries) == 0 {
		return plan{}, errors.New("package is empty")
	}
	if len(entries) > limits.Entries {
		return plan{}, fmt.Errorf("package has %d entries, at most %d allowed", len(entries), limits.Entries)
	}
	n := names{spelling: map[string]string{}, folder: map[string]bool{}, limit: limits.Entries}
	var p plan
	var total uint64
	for _, e := range entries {
		if err := checkEntry(e); err != nil {
			return plan{}, fmt.Errorf("package entry %q: %w", short(e.Name), err)
		}
		name, isFolder := strings.CutSuffix(e.Name, "/")
		if err := n.add(&p, name, isFolder); err != nil {
			return plan{}, fmt.Errorf("package entry %q: %w", short(e.Name), err)
		}
		if isFolder {
			continue
		}
		p.files = append(p.files, e)
		if e.UncompressedSize64 > uint64(limits.Size) || total+e.UncompressedSize64 > uint64(limits.Size) {
			return plan{}, fmt.Errorf("package unpacks to more than %d bytes", limits.Size)
		}
		total += e.UncompressedSize64
	}
	if total > freeSize && total > uint64(product(packed, limits.Ratio)) {
		return plan{}, fmt.Errorf("package of %d bytes unpacks to %d, more than %d times as many", packed, total, limits.Ratio)
	}
	return p, nil
}

// checkEntry judges one entry by itself.
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

// unixMode is the mode as Unix has it, 0 where the archive tells none.
func unixMode(e *zip.File) uint32 { return e.ExternalAttrs >> 16 }

// hasLink tells whether an extra field names the target of a link.
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

// names sees to it that every name means one thing, also where case is not told
// apart.
type names struct {
	spelling map[string]string // folded → as first seen
	folder   map[string]bool   // as first seen; false: a file
	limit    int
}

func (n *names) add(p *plan, name string, isFolder bool) error {
	for _, dir := range parents(name) {
		if err := n.folderNamed(p, dir); err != nil {
			return err
		}
	}
	if isFolder {
		return n.folderNamed(p, name)
	}
	folded := strings.ToLower(name)
	if first, seen := n.spelling[folded]; seen {
		return clash(first, name)
	}
	n.spelling[folded], n.folder[name] = name, false
	return nil
}

// folderNamed may be said more than once of the same folder.
func (n *names) folderNamed(p *plan, name string) error {
	folded := strings.ToLower(name)
	first, seen := n.spelling[folded]
	switch {
	case !seen:
	case first != name:
		return clash(first, name)
	case !n.folder[name]:
		return fmt.Errorf("file %q is used as a folder", short(name))
	default:
		return nil
	}
	if len(p.folders) >= n.limit {
		return fmt.Errorf("more than %d folders", n.limit)
	}
	n.spelling[folded], n.folder[name] = name, true
	p.folders = append(p.folders, path.Clean(name))
	return nil
}

func clash(first, second string) error {
	if first == second {
		return errors.New("is there twice")
	}
	return fmt.Errorf("differs from %q only in case", short(first))
}

// short keeps a message readable, whatever the name.
func short(name string) string {
	if len(name) > 100 {
		return name[:100] + "…"
	}
	return name
}
