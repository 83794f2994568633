package manifest

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/durable"
)

// Text forms of keys: a prefix, then standard base64.
const (
	publicPrefix  = "plugin-key-ed25519:"
	privatePrefix = "plugin-private-key-ed25519:"
	maxKeyFile    = 4 << 10 // in bytes
)

// PublicKey is a key whose signatures are trusted.
type PublicKey struct{ key ed25519.PublicKey }

// PrivateKey signs manifests. Printing it shows only its id.
type PrivateKey struct{ key ed25519.PrivateKey }

// GenerateKey makes a new key.
func GenerateKey() (PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("generate key: %w", err)
	}
	return PrivateKey{key}, nil
}

// ParsePublicKey parses the line that String returns.
func ParsePublicKey(line string) (PublicKey, error) {
	b, err := decodeKey(line, publicPrefix, ed25519.PublicKeySize)
	if err != nil {
		return PublicKey{}, fmt.Errorf("public key: %w", err)
	}
	return PublicKey{b}, nil
}

// String returns the key on one line, as for `upgrade.trusted_keys`.
func (k PublicKey) String() string { return publicPrefix + base64.StdEncoding.EncodeToString(k.key) }

// ID returns the first 16 hex digits of the key's SHA-256.
func (k PublicKey) ID() string {
	sum := sha256.Sum256(k.key)
	return hex.EncodeToString(sum[:8])
}

// Public returns the public key of k.
func (k PrivateKey) Public() PublicKey { return PublicKey{k.key.Public().(ed25519.PublicKey)} }

// String hides the key from logs.
func (k PrivateKey) String() string { return "private key of " + k.Public().ID() }

// GoString hides the key from %#v as well.
func (k PrivateKey) GoString() string { return k.String() }

// WriteFile writes the key to a new file of mode 0600. It never replaces an
// existing file, which may be the only copy of another key.
func (k PrivateKey) WriteFile(path string) error {
	text := privatePrefix + base64.StdEncoding.EncodeToString(k.key.Seed()) + "\n"
	err := durable.CreateFile(path, []byte(text), 0o600)
	if err == nil {
		err = durable.FlushFolder(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("write private key: %w", err)
	}
	return nil
}

// ReadPrivateKey reads a file that WriteFile wrote. It fails if others may read
// the file. No error contains the file's content.
func ReadPrivateKey(path string) (PrivateKey, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("read private key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = errors.New("not a regular file")
	case info.Mode().Perm()&0o077 != 0:
		err = fmt.Errorf("mode %04o lets other users read the key; run `chmod 600`", info.Mode().Perm())
	}
	if err != nil {
		return PrivateKey{}, fmt.Errorf("read private key %s: %w", path, err)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return PrivateKey{}, fmt.Errorf("read private key: %w", err)
	}
	seed, err := decodeKey(string(b), privatePrefix, ed25519.SeedSize)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("read private key %s: %w", path, err)
	}
	return PrivateKey{ed25519.NewKeyFromSeed(seed)}, nil
}

func decodeKey(text, prefix string, size int) ([]byte, error) {
	encoded, ok := strings.CutPrefix(strings.TrimSpace(text), prefix)
	if !ok {
		return nil, fmt.Errorf("does not begin with %q", prefix)
	}
	b, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || len(b) != size {
		return nil, fmt.Errorf("not %d bytes in base64", size)
	}
	return b, nil
}
