package plugin

import (
	"fmt"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxNameLength is the longest plugin name or version, in bytes (SPEC 1).
const MaxNameLength = 255

// NameRule is the rule of CheckName in words.
const NameRule = `1 to 255 bytes of UTF-8 without /, backslash and control characters, no blank at either end`

// CheckName returns an error if a string is no valid name or version of a plugin:
// it breaks NameRule, or the plugin folder uses the name for something else
// (SPEC 1, ST-15). A valid name is safe as one element of a path.
func CheckName(s string) error {
	switch {
	case s == "":
		return fmt.Errorf("empty name")
	case len(s) > MaxNameLength:
		return fmt.Errorf("name of %d bytes, at most %d allowed", len(s), MaxNameLength)
	case !utf8.ValidString(s):
		return fmt.Errorf("name %q is not UTF-8", s)
	case s == ".", s == "..":
		return fmt.Errorf("name %q is reserved for folders", s)
	case strings.TrimSpace(s) != s:
		return fmt.Errorf("name %q begins or ends with a blank", s)
	}
	for _, r := range s {
		if r == '/' || r == '\\' || unicode.IsControl(r) {
			return fmt.Errorf("name %q holds %q, which is not allowed", s, r)
		}
	}
	for _, ours := range []string{"installed_plugins", ".installed_plugins", ".removed-"} {
		if strings.HasPrefix(s, ours) {
			return fmt.Errorf("name %q begins with %s, as files of the installation do", s, ours)
		}
	}
	return nil
}

// CheckRunPath returns an error if a path is no valid executable of a package: it
// must be relative and inside the package (SPEC 1, ST-15).
func CheckRunPath(s string) error {
	if s == "" {
		return fmt.Errorf("no runPath")
	}
	if !filepath.IsLocal(s) || filepath.Clean(s) == "." {
		return fmt.Errorf("runPath %q leaves the package", s)
	}
	return nil
}
