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

// MachineIDFile is the file with the machine ID of a host.
const MachineIDFile = "/etc/machine-id"

// Instance identifies this host at the control plane.
type Instance struct {
	ID        string
	Recreated bool // the root has a new ID: the root or the machine was copied
}

// InstanceID returns the configured ID, else the one in
// root/supervisor/instance-id. That file is written once, with a digest of the
// machine ID, the root and a random part: two roots of one machine differ, and so
// do two machines that have the same machine ID but were set up separately. The
// machine ID itself does not leave the host. A generated ID has 32 hex digits.
//
// The ID is recreated when the machine ID or the path of the root has changed: then
// the root or the machine was copied. A root whose supervisor reported under the ID
// of an older version keeps that ID.
//
// The error says that the ID could not be saved; the returned ID is then valid for
// this process.
func InstanceID(root, configured, machineIDPath string) (Instance, error) {
	if configured != "" {
		return Instance{ID: configured}, nil
	}
	machine := readID(machineIDPath)
	mark := hashID("pluginsupervisor instance mark", machine, resolvePath(root))
	kept, keptMark := readInstance(layout.InstanceID(root))
	switch {
	case keptMark == mark || keptMark != "" && machine == "": // without a machine ID the root is not known to be a copy
		return Instance{ID: kept}, nil
	case keptMark != "":
		id := makeID(machine, root)
		return Instance{ID: id, Recreated: true}, saveInstance(root, id, mark)
	}
	id := findOlderID(root, machine, kept)
	if id == "" {
		id = makeID(machine, root)
	}
	return Instance{ID: id}, saveInstance(root, id, mark)
}

// findOlderID returns the ID that an older version reported under, "" for none: a
// digest of the machine ID, or a random one where there was none.
func findOlderID(root, machine, kept string) string {
	if machine == "" {
		return kept
	}
	if _, err := os.Stat(layout.State(root)); err != nil {
		return ""
	}
	if _, err := os.Stat(layout.InstanceID(root)); err == nil && kept == "" { // a damaged file
		return ""
	}
	sum := sha256.Sum256([]byte("pluginsupervisor instance id\n" + machine))
	return hex.EncodeToString(sum[:idBytes])
}

// makeID returns a new ID.
func makeID(machine, root string) string {
	random := rand.Text()
	return hashID("pluginsupervisor instance", machine, resolvePath(root), random)
}

// hashID returns the digest of the parts as an ID.
func hashID(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\n")))
	return hex.EncodeToString(sum[:idBytes])
}

// resolvePath returns the absolute path, without symbolic links if it exists.
func resolvePath(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return path
}

// saveInstance writes the ID, and on a second line the digest of the machine ID and
// root that it belongs to.
func saveInstance(root, id, mark string) error {
	path := layout.InstanceID(root)
	err := durable.MakeFolder(filepath.Dir(path), 0o755)
	if err == nil {
		err = durable.WriteFile(path, []byte(id+"\n"+mark+"\n"), 0o644, nil)
	}
	if err != nil {
		return fmt.Errorf("save instance id: %w", err)
	}
	return nil
}

const idBytes = 16

// readInstance reads the file of saveInstance. mark is "" in the file of an older
// version; both are "" if the file is missing or damaged.
func readInstance(path string) (id, mark string) {
	text := readSmallFile(path)
	id, mark, marked := strings.Cut(text, "\n")
	if id = parseID(id); id == "" || !marked {
		return id, ""
	}
	return id, parseID(mark)
}

// readID returns the ID in a file, "" for none.
func readID(path string) string { return parseID(readSmallFile(path)) }

// readSmallFile returns the text of a file, "" if it cannot be read.
func readSmallFile(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 256))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// parseID returns an ID of 32 hex digits, "" if text is not one. Only zeros are not
// an ID: images that were not set up have them.
func parseID(text string) string {
	id := strings.ToLower(strings.TrimSpace(text))
	if raw, err := hex.DecodeString(id); err != nil || len(raw) != idBytes || strings.Trim(id, "0") == "" {
		return ""
	}
	return id
}
