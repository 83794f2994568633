package control

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"pluginsupervisor/plugin"
)

// PathList is where packages are listed (SPEC 3).
const PathList = "/luban/api/v1/plugin/list"

// PackageQuery is the body of a question for packages; "" is any.
type PackageQuery struct {
	OSType     string `json:"osType"`
	PluginName string `json:"pluginName"`
	Version    string `json:"version"`
	Arch       string `json:"arch"`
}

// Package is a package as the control plane lists it. The fields after MD5 are
// additions of ours, which an existing server does not send.
type Package struct {
	Name     string `json:"name"`
	Version  string `json:"version"`
	OSType   string `json:"osType"`
	Arch     string `json:"arch"`
	URL      string `json:"url"`
	MD5      string `json:"md5"`
	SHA256   string `json:"sha256"`
	Manifest string `json:"manifest"` // signed
}

// For tells whether the package is for a host: osType is "", both or its, arch
// is "", all or its, in any case (SPEC 1).
func (p Package) For(osType, arch string) bool {
	is := func(word, any, local string) bool {
		return word == "" || strings.EqualFold(word, any) || strings.EqualFold(word, local)
	}
	return is(p.OSType, "both", osType) && is(p.Arch, "all", arch)
}

// packageAnswer answers a PackageQuery.
type packageAnswer struct {
	PluginList []Package `json:"pluginList"`
}

// Packages asks which packages of a plugin there are for this host. "" is any
// name, any version.
func (c *Client) Packages(ctx context.Context, name, version string) ([]Package, error) {
	body, err := c.post(ctx, PathList, PackageQuery{OSType: c.os, PluginName: name, Version: version})
	if err != nil {
		return nil, fmt.Errorf("list packages: %w", err)
	}
	var a packageAnswer
	if err := decode(body, &a); err != nil {
		return nil, fmt.Errorf("list packages: %w", err)
	}
	return slices.DeleteFunc(a.PluginList, func(p Package) bool {
		return !p.For(c.os, c.arch) || name != "" && p.Name != name || version != "" && p.Version != version
	}), nil
}

// errNotListed says that the control plane has no such package for this host.
var errNotListed = errors.New("the control plane has no such package for this host")

// FindPackage asks for the package of one version.
func (c *Client) FindPackage(ctx context.Context, name, version string) (Package, error) {
	if err := errors.Join(plugin.CheckName(name), plugin.CheckName(version)); err != nil {
		return Package{}, err
	}
	found, err := c.Packages(ctx, name, version)
	switch {
	case err != nil:
		return Package{}, err
	case len(found) == 0:
		return Package{}, fmt.Errorf("%s %s: %w", name, version, errNotListed)
	}
	return found[0], nil
}
