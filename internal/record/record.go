// Package record is the schema of one plugin record and of a package's config.json:
// it decodes both leniently (SPEC 1) and encodes the record. The database is in
// internal/registry.
package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"pluginsupervisor/plugin"
)

var (
	// ErrRefused is wrapped when a name, a version or a runPath breaks the rules of SPEC 1 (ST-15).
	ErrRefused = errors.New("refused")
	// ErrMalformed is wrapped when a record or a config.json is not JSON of the right shape.
	ErrMalformed = errors.New("malformed")
)

// Record is one record with all its fields; unknown ones survive a rewrite (SPEC 1).
type Record struct {
	ID                uint64 // key in the database; 0: not stored yet
	PluginID          string
	Name              string
	Arch              string
	OSType            string
	Version           string
	Publisher         string
	URL               string
	MD5               string
	RunPath           string // the executable, relative to the version's folder
	Timeout           string // seconds, as recorded; Plugin applies SPEC 2
	IsPreInstalled    string
	Type              plugin.Type
	HeartbeatInterval int // seconds, always positive once decoded
	Removed           bool
	AddSysTag         bool
	CommanderInfo     json.RawMessage // of a Commander, for the existing agent (SPEC 1), kept as it was; nil: there is none

	rawType json.RawMessage // pluginType as it was; written again while Type is Unknown
	unknown []field         // in the order they had
}

// Decode reads a record leniently: a field of the wrong shape counts as
// absent. The error wraps ErrMalformed: not a JSON object, no name or no version.
func Decode(b []byte) (Record, error) {
	fields, err := decodeObject(b)
	if err != nil {
		return Record{}, fmt.Errorf("decode record: %w", err)
	}
	var r Record
	var l lenient // its error is ignored
	for _, f := range fields {
		switch strings.ToLower(f.key) {
		case "pluginid":
			r.PluginID = l.readText(f)
		case "name":
			r.Name = l.readText(f)
		case "arch":
			r.Arch = l.readText(f)
		case "ostype":
			r.OSType = l.readText(f)
		case "version":
			r.Version = l.readText(f)
		case "publisher":
			r.Publisher = l.readText(f)
		case "url":
			r.URL = l.readText(f)
		case "md5":
			r.MD5 = l.readText(f)
		case "runpath":
			r.RunPath = l.readText(f)
		case "timeout":
			r.Timeout = l.readText(f)
		case "ispreinstalled":
			r.IsPreInstalled = l.readText(f)
		case "plugintype":
			r.rawType, r.Type = f.value, decodeType(f.value)
		case "heartbeatinterval":
			r.HeartbeatInterval = l.readInteger(f)
		case "isremoved":
			r.Removed = l.readBoolean(f)
		case "addsystag":
			r.AddSysTag = l.readBoolean(f)
		case "commanderinfo":
			r.CommanderInfo = f.value
		default:
			r.unknown = append(r.unknown, f)
		}
	}
	if r.HeartbeatInterval <= 0 {
		r.HeartbeatInterval = int(plugin.DefaultHeartbeatInterval / time.Second)
	}
	switch {
	case r.Name == "":
		return Record{}, fmt.Errorf("decode record: %w: no name", ErrMalformed)
	case r.Version == "":
		return Record{}, fmt.Errorf("decode record: %w: no version", ErrMalformed)
	}
	return r, nil
}

// Encode writes the record as compact JSON: the known fields in the order of
// SPEC 1, then the unknown ones in the order they had. pluginType becomes 0, 1
// or 2, an unknown one stays as it was (ST-12).
func (r Record) Encode() ([]byte, error) {
	b, err := json.Marshal(struct {
		PluginID          string          `json:"pluginId"`
		Name              string          `json:"name"`
		Arch              string          `json:"arch"`
		OSType            string          `json:"osType"`
		Version           string          `json:"version"`
		Publisher         string          `json:"publisher"`
		URL               string          `json:"url"`
		MD5               string          `json:"md5"`
		RunPath           string          `json:"runPath"`
		Timeout           string          `json:"timeout"`
		IsPreInstalled    string          `json:"isPreInstalled"`
		PluginType        json.RawMessage `json:"pluginType"`
		HeartbeatInterval int             `json:"heartbeatInterval"`
		IsRemoved         bool            `json:"isRemoved"`
		AddSysTag         bool            `json:"addSysTag"`
		CommanderInfo     json.RawMessage `json:"commanderInfo,omitempty"`
	}{
		r.PluginID, r.Name, r.Arch, r.OSType, r.Version, r.Publisher, r.URL, r.MD5, r.RunPath, r.Timeout,
		r.IsPreInstalled, encodeType(r.Type, r.rawType), r.HeartbeatInterval, r.Removed, r.AddSysTag,
		r.CommanderInfo,
	})
	if err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	if b, err = appendFields(b, r.unknown); err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	return b, nil
}

// appendFields returns the compact JSON object b with further members.
func appendFields(b []byte, more []field) ([]byte, error) {
	out := bytes.NewBuffer(b[:len(b)-1])
	for _, f := range more {
		key, err := json.Marshal(f.key)
		if err != nil {
			return nil, err
		}
		out.WriteByte(',')
		out.Write(key)
		out.WriteByte(':')
		if err := json.Compact(out, f.value); err != nil {
			return nil, fmt.Errorf("%s: %w", f.key, err)
		}
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// Plugin returns the record as a plugin.Plugin. The caller sets Duplicate, which
// depends on the other records (ST-10).
func (r Record) Plugin() plugin.Plugin {
	return plugin.Plugin{
		ID: r.ID, Name: r.Name, Version: r.Version, Type: r.Type,
		OS: r.OSType, Arch: r.Arch, Publisher: r.Publisher, RunPath: r.RunPath,
		Timeout:           plugin.ParseTimeout(r.Timeout),
		HeartbeatInterval: time.Duration(r.HeartbeatInterval) * time.Second,
		AddSysTag:         r.AddSysTag, Removed: r.Removed,
	}
}

// Check returns an error for names and paths that lead out of the installation
// (ST-15). A record without a runPath is valid: its executable is missing (RS-07).
func (r Record) Check() error {
	if err := plugin.CheckName(r.Name); err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if err := plugin.CheckName(r.Version); err != nil {
		return fmt.Errorf("%w: version: %w", ErrRefused, err)
	}
	if r.RunPath == "" {
		return nil
	}
	if err := plugin.CheckRunPath(r.RunPath); err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return nil
}

// InheritUnknown returns r with the unknown fields of old, the record that it
// replaces, where r has none of that name (ST-14). CommanderInfo belongs to the
// package and is not inherited.
func (r Record) InheritUnknown(old Record) Record {
	r.unknown = slices.Clone(r.unknown)
	for _, f := range old.unknown {
		if !slices.ContainsFunc(r.unknown, func(own field) bool { return own.key == f.key }) {
			r.unknown = append(r.unknown, f)
		}
	}
	return r
}
