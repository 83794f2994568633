package lock

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestFileName(t *testing.T) {
	long := strings.Repeat("n", 251) + ".lock"
	tests := map[string]struct{ name, want string }{
		"short":     {"p.lock", "p.lock"},
		"255 bytes": {strings.Repeat("n", 255), strings.Repeat("n", 255)},
		// 8 hex digits: printf %s NAME | sha256sum
		"256 bytes": {long, strings.Repeat("n", 200) + "-00b51ed1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := FileName(tt.name); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
	if a, b := FileName(long+"a"), FileName(long+"b"); a == b {
		t.Errorf("two names, one file: %s", a)
	}
}

func TestPathOfTheLongestNameCanBeLocked(t *testing.T) {
	root := t.TempDir()
	path := Path(root, strings.Repeat("n", 255))
	if got := filepath.Dir(path); got != filepath.Join(root, "cache", "plugin-manager") {
		t.Errorf("folder %s", got)
	}
	mustLock(t, Shared, path)()
	if got, want := Path("/base", "p"), "/base/cache/plugin-manager/p.lock"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
