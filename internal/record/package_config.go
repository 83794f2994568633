package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/platform"
	"pluginsupervisor/plugin"
)

// MaxConfigSize is the size of the largest config.json that is read, in bytes.
const MaxConfigSize = 1 << 20

// PackageConfig is a package's config.json, decoded leniently (SPEC 1).
type PackageConfig struct {
	Name              string
	Arch              string
	OSType            string
	RunPath           string
	Timeout           string
	Publisher         string
	Version           string
	Type              plugin.Type
	HeartbeatInterval int // seconds, always positive once decoded
	AddSysTag         bool

	rawType       json.RawMessage // pluginType as it was
	commanderInfo json.RawMessage // see WithCommander
}

// DecodePackageConfig decodes a config.json. The error wraps ErrMalformed: not a JSON
// object, or a field of the wrong kind. It does not check names and paths.
func DecodePackageConfig(b []byte) (PackageConfig, error) {
	fields, err := decodeObject(b)
	if err != nil {
		return PackageConfig{}, fmt.Errorf("decode config.json: %w", err)
	}
	var c PackageConfig
	var l lenient
	for _, f := range fields {
		switch strings.ToLower(f.key) {
		case "name":
			c.Name = l.readText(f)
		case "arch":
			c.Arch = l.readText(f)
		case "ostype":
			c.OSType = l.readText(f)
		case "runpath":
			c.RunPath = l.readText(f)
		case "timeout":
			c.Timeout = l.readText(f)
		case "publisher":
			c.Publisher = l.readText(f)
		case "version":
			c.Version = l.readText(f)
		case "plugintype":
			c.rawType, c.Type = f.value, decodeType(f.value)
		case "heartbeatinterval":
			c.HeartbeatInterval = l.readInteger(f)
		case "addsystag":
			c.AddSysTag = l.readBoolean(f)
		}
	}
	if l.err != nil {
		return PackageConfig{}, fmt.Errorf("decode config.json: %w", l.err)
	}
	if c.HeartbeatInterval <= 0 {
		c.HeartbeatInterval = int(plugin.DefaultHeartbeatInterval / time.Second)
	}
	return c, nil
}

// ReadPackageConfig reads dir/config.json, of at most 1 MiB, and the
// axt-commander.json of a Commander beside it. The error wraps fs.ErrNotExist when
// there is none, ErrMalformed when it is not JSON of the right shape, ErrRefused when
// name, version or runPath breaks the rules of SPEC 1.
func ReadPackageConfig(dir string) (PackageConfig, error) {
	b, err := ReadRegularFile(filepath.Join(dir, layout.PackageConfig), MaxConfigSize)
	if err != nil {
		return PackageConfig{}, fmt.Errorf("read config.json: %w", err)
	}
	c, err := DecodePackageConfig(b)
	if err != nil {
		return PackageConfig{}, err
	}
	if err := c.Record().Check(); err != nil {
		return PackageConfig{}, fmt.Errorf("read config.json: %w", err)
	}
	if err := plugin.CheckRunPath(c.RunPath); err != nil { // unlike a record, a package must have one
		return PackageConfig{}, fmt.Errorf("read config.json: %w: %w", ErrRefused, err)
	}
	if c.Type != plugin.Commander {
		return c, nil
	}
	switch b, err = ReadRegularFile(filepath.Join(dir, layout.Commander), MaxCommanderSize); {
	case errors.Is(err, fs.ErrNotExist): // unpacked by an earlier version; new packages must have it
		return c, nil
	case err != nil:
		return PackageConfig{}, fmt.Errorf("read axt-commander.json: %w", err)
	}
	return c.WithCommander(b)
}

// Record returns a new record of the package. Fields that are not part of a package
// (ID, URL, digest) are empty.
func (c PackageConfig) Record() Record {
	return Record{
		Name: c.Name, Version: c.Version, Arch: c.Arch, OSType: c.OSType,
		RunPath: c.RunPath, Timeout: c.Timeout, Publisher: c.Publisher,
		Type: c.Type, rawType: c.rawType,
		HeartbeatInterval: c.HeartbeatInterval, AddSysTag: c.AddSysTag, CommanderInfo: c.commanderInfo,
	}
}

// CheckHost returns an error if the package is not for this host: osType must be "",
// both or the local one, arch "", all or the local one, in any case (SPEC 1). The
// local words are those of SPEC 3; Go's and the machine's are accepted.
func (c PackageConfig) CheckHost(goos, goarch string) error {
	if !platform.FitsOS(c.OSType, goos) {
		return fmt.Errorf("package %s is for %s, this is %s", c.Name, c.OSType, goos)
	}
	if local := platform.Arch(goarch); !platform.FitsArch(c.Arch, local) {
		return fmt.Errorf("package %s is for %s, this is %s", c.Name, c.Arch, local)
	}
	return nil
}
