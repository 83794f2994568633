package lock

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
)

// The longest file name, and how much of a longer one is kept, in bytes (SPEC 1).
const (
	maxName  = 255
	keptName = 200
)

// FileName is the name a file of that name has: itself, or when the file
// system would not take it, its first 200 bytes, a dash and 8 hex digits of its
// SHA-256 (SPEC 1). A plugin's name may be 255 bytes long, so anything that
// appends to it needs this.
func FileName(name string) string {
	if len(name) <= maxName {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return name[:keptName] + "-" + hex.EncodeToString(sum[:4])
}

// Path is the name lock of a plugin: root/cache/plugin-manager/<name>.lock
// (SPEC 1). The name must be a valid one, see plugin.CheckName.
func Path(root, name string) string {
	return filepath.Join(root, "cache", "plugin-manager", FileName(name+".lock"))
}
