package config

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"pluginsupervisor/internal/durable"
	"pluginsupervisor/internal/layout"
)

// MachineIDFile is where a host has its own id.
const MachineIDFile = "/etc/machine-id"

// InstanceID says who this host is: what is configured, else a hash of the
// machine id — the id itself is not to leave the host — else a random one that
// is kept in root/supervisor/instance-id. Made ones are 32 hex digits.
//
// The error is that a random one could not be kept; it is returned with the
// id, which then is good for this life of the process.
func InstanceID(root, configured, machineIDPath string) (string, error) {
	if configured != "" {
		return configured, nil
	}
	if id := readID(machineIDPath); id != "" {
		sum := sha256.Sum256([]byte("pluginsupervisor instance id\n" + id))
		return hex.EncodeToString(sum[:idBytes]), nil
	}
	path := layout.InstanceID(root)
	if id := readID(path); id != "" {
		return id, nil
	}
	b := make([]byte, idBytes)
	_, _ = rand.Read(b) // never fails
	id := hex.EncodeToString(b)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = durable.WriteFile(path, []byte(id+"\n"), 0o644, nil)
	}
	if err != nil {
		return id, fmt.Errorf("keep instance id: %w", err)
	}
	return id, nil
}

const idBytes = 16

// readID reads a file that holds one id of 32 hex digits; "" if it does not.
// One of zeros only stands in images that were not set up.
func readID(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 256))
	if err != nil {
		return ""
	}
	id := strings.ToLower(strings.TrimSpace(string(b)))
	if raw, err := hex.DecodeString(id); err != nil || len(raw) != idBytes || strings.Trim(id, "0") == "" {
		return ""
	}
	return id
}
