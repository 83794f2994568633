package control

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"pluginsupervisor/internal/platform"
	"pluginsupervisor/internal/record"
	"pluginsupervisor/plugin"
)

// PathList is the path of the list of packages (SPEC 3).
const PathList = "/luban/api/v1/plugin/list"

// PackageQuery is the body of a query for packages; "" matches any value.
type PackageQuery struct {
	OSType     string `json:"osType"`
	PluginName string `json:"pluginName"`
	Version    string `json:"version"`
	Arch       string `json:"arch"`
}

// Package is a package as the control plane lists it. The last two fields are
// an extension that an existing server does not send.
type Package struct {
	Name      string
	Version   string
	Publisher string
	OSType    string // "" is any
	Arch      string // "" is any
	Type      plugin.Type
	AddSysTag bool
	URL       string
	MD5       string

	PluginID       string
	Timeout        string // seconds, as listed
	IsPreInstalled string

	SHA256   string
	Manifest string // signed; "": none
}

// FitsHost reports whether the package is for a host (SPEC 1).
func (p Package) FitsHost(osType, arch string) bool {
	return platform.FitsOS(p.OSType, osType) && platform.FitsArch(p.Arch, arch)
}

// readPackages reads the answer to a PackageQuery. Records are read as
// leniently as those on a host (SPEC 3): values that are not records are left out, and a
// field of a wrong type counts as absent.
func readPackages(r response) (found []Package, err error) {
	var a struct {
		PluginList []json.RawMessage `json:"pluginList"`
	}
	if err := decodeObject(r, &a); err != nil {
		return nil, err
	}
	for _, raw := range a.PluginList {
		r, err := record.Decode(raw)
		if err != nil {
			continue
		}
		var extension struct{ SHA256, Manifest text } // keys in any case
		_ = json.Unmarshal(raw, &extension)           // it is an object
		found = append(found, Package{
			Name: r.Name, Version: r.Version, Publisher: r.Publisher, OSType: r.OSType, Arch: r.Arch, Type: r.Type, AddSysTag: r.AddSysTag,
			PluginID: r.PluginID, Timeout: r.Timeout, IsPreInstalled: r.IsPreInstalled,
			URL: r.URL, MD5: r.MD5, SHA256: string(extension.SHA256), Manifest: string(extension.Manifest),
		})
	}
	return found, nil
}

// text is a JSON string, or a number, true or false as written.
type text string

// UnmarshalJSON never fails: any other value becomes "".
func (t *text) UnmarshalJSON(b []byte) error {
	*t = ""
	switch b[0] {
	case '"':
		return json.Unmarshal(b, (*string)(t))
	case '{', '[', 'n':
	default:
		*t = text(b)
	}
	return nil
}

// ListPackages returns the packages for this host; "" matches any name or version.
// They are sorted by name, the newest version first (SPEC 12). Packages whose
// name or version is invalid are left out.
func (c *Client) ListPackages(ctx context.Context, name, version string) ([]Package, error) {
	found, err := c.QueryPackages(ctx, PackageQuery{PluginName: name, Version: version})
	slices.SortStableFunc(found, func(a, b Package) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), plugin.CompareVersions(b.Version, a.Version))
	})
	return slices.DeleteFunc(found, func(p Package) bool { return !c.FitsThisHost(p) }), err
}

// FitsThisHost reports whether the package is for this host.
func (c *Client) FitsThisHost(p Package) bool { return p.FitsHost(c.os, c.arch) }

// QueryPackages returns the packages that match q, in the order of the answer. An empty
// OSType means that of this host. Packages for other systems are included;
// packages whose name or version is invalid are left out.
func (c *Client) QueryPackages(ctx context.Context, q PackageQuery) ([]Package, error) {
	q.OSType = cmp.Or(q.OSType, c.os)
	answer, err := c.sendRequest(ctx, PathList, q)
	if err != nil {
		return nil, fmt.Errorf("list packages: %w", err)
	}
	found, err := readPackages(answer)
	if err != nil {
		return nil, fmt.Errorf("list packages: %w", err)
	}
	return slices.DeleteFunc(found, func(p Package) bool {
		return q.PluginName != "" && p.Name != q.PluginName || q.Version != "" && p.Version != q.Version ||
			plugin.CheckName(p.Name) != nil || plugin.CheckName(p.Version) != nil
	}), nil
}

// ErrNotListed is returned when the control plane has no such package for this
// host.
var ErrNotListed = errors.New("the control plane has no such package for this host")

// FindPackage returns the package of one version.
func (c *Client) FindPackage(ctx context.Context, name, version string) (Package, error) {
	if err := errors.Join(plugin.CheckName(name), plugin.CheckName(version)); err != nil {
		return Package{}, err
	}
	found, err := c.ListPackages(ctx, name, version)
	switch {
	case err != nil:
		return Package{}, err
	case len(found) == 0:
		return Package{}, fmt.Errorf("%s %s: %w", name, version, ErrNotListed)
	}
	return found[0], nil
}

// NewestPackage returns the package of a plugin's newest version (SPEC 12).
func (c *Client) NewestPackage(ctx context.Context, name string) (Package, error) {
	if err := plugin.CheckName(name); err != nil {
		return Package{}, err
	}
	found, err := c.ListPackages(ctx, name, "")
	switch {
	case err != nil:
		return Package{}, err
	case len(found) == 0:
		return Package{}, fmt.Errorf("%s: %w", name, ErrNotListed)
	}
	return found[0], nil
}
