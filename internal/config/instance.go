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

// Instance is who this host is at the control plane.
type Instance struct {
	ID        string
	Recreated bool // the root has another id than before: it is a copy, or the machine is one
}

// InstanceID returns who this host is: what is configured, else what is kept in
// root/supervisor/instance-id, which is made once, of the machine id, the root
// and a random part. So two roots of one machine have two ids, and so have two
// machines with one machine id that were set up apart. The machine id itself is
// not to leave the host. Made ids are 32 hex digits.
//
// The id is made anew when the machine id or the path of the root is not the one
// it was made for: then the root, or the whole machine, was copied. A root whose
// supervisor reported under the id of an older version keeps that.
//
// The error is that the id could not be kept; it is returned with the id, which
// then is good for this process.
func InstanceID(root, configured, machineIDPath string) (Instance, error) {
	if configured != "" {
		return Instance{ID: configured}, nil
	}
	machine := readID(machineIDPath)
	mark := hashID("pluginsupervisor instance mark", machine, resolvePath(root))
	kept, keptMark := readInstance(layout.InstanceID(root))
	switch {
	case keptMark == mark || keptMark != "" && machine == "": // without a machine id nothing speaks against it
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

// findOlderID returns the id that an older version reported under, "" when
// none did: that of the machine, or where there was none, a random one.
func findOlderID(root, machine, kept string) string {
	if machine == "" {
		return kept
	}
	if _, err := os.Stat(layout.State(root)); err != nil {
		return ""
	}
	if _, err := os.Stat(layout.InstanceID(root)); err == nil && kept == "" { // a damaged one
		return ""
	}
	sum := sha256.Sum256([]byte("pluginsupervisor instance id\n" + machine))
	return hex.EncodeToString(sum[:idBytes])
}

func makeID(machine, root string) string {
	random := rand.Text()
	return hashID("pluginsupervisor instance", machine, resolvePath(root), random)
}

// hashID returns the digest of the parts, as an id.
func hashID(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\n")))
	return hex.EncodeToString(sum[:idBytes])
}

// resolvePath returns the path without symbolic links, as far as it exists.
func resolvePath(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return path
}

// saveInstance writes the id, and on a second line the mark of what it is for.
func saveInstance(root, id, mark string) error {
	path := layout.InstanceID(root)
	err := durable.MakeFolder(filepath.Dir(path), 0o755)
	if err == nil {
		err = durable.WriteFile(path, []byte(id+"\n"+mark+"\n"), 0o644, nil)
	}
	if err != nil {
		return fmt.Errorf("keep instance id: %w", err)
	}
	return nil
}

const idBytes = 16

// readInstance reads what keepInstance wrote. mark is "" in the file of an older
// version; both are "" where there is no such file, or it is damaged.
func readInstance(path string) (id, mark string) {
	text := readSmallFile(path)
	id, mark, marked := strings.Cut(text, "\n")
	if id = parseID(id); id == "" || !marked {
		return id, ""
	}
	return id, parseID(mark)
}

// readID reads a file that holds one id; "" if it does not.
func readID(path string) string { return parseID(readSmallFile(path)) }

// readSmallFile returns the text of a file, "" where it cannot be read.
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

// parseID returns an id of 32 hex digits, "" if text is none. One of zeros only
// stands in images that were not set up.
func parseID(text string) string {
	id := strings.ToLower(strings.TrimSpace(text))
	if raw, err := hex.DecodeString(id); err != nil || len(raw) != idBytes || strings.Trim(id, "0") == "" {
		return ""
	}
	return id
}
