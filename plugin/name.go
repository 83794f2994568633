package plugin

import (
	"fmt"
	"path/filepath"
)

// MaxNameLength is the longest plugin name or version, in bytes (SPEC 1).
const MaxNameLength = 255

// CheckName tells why a string may not be a plugin's name or version, or nil:
// 1–255 ASCII letters, digits and . _ - +, not starting with a dot (SPEC 1,
// ST-15). What passes is safe as one element of a path.
func CheckName(s string) error {
	switch {
	case s == "":
		return fmt.Errorf("empty name")
	case len(s) > MaxNameLength:
		return fmt.Errorf("name of %d bytes, at most %d allowed", len(s), MaxNameLength)
	case s[0] == '.':
		return fmt.Errorf("name %q starts with a dot", s)
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '.', c == '_', c == '-', c == '+':
		default:
			return fmt.Errorf("name %q holds %q; letters, digits and . _ - + are allowed", s, c)
		}
	}
	return nil
}

// CheckRunPath tells why a path may not be a package's executable, or nil: it
// is relative and stays inside the package (SPEC 1, ST-15).
func CheckRunPath(s string) error {
	if s == "" {
		return fmt.Errorf("no runPath")
	}
	if !filepath.IsLocal(s) || filepath.Clean(s) == "." {
		return fmt.Errorf("runPath %q leaves the package", s)
	}
	return nil
}
