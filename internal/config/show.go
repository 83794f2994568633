package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"pluginsupervisor/internal/yamlfile"

	"go.yaml.in/yaml/v3"
)

// YAML formats every key with its effective value, as a file that Load reads. A
// comment names the origin of a value that is not a default.
func (c Config) YAML() ([]byte, error) {
	var tree yamlfile.Tree
	for _, k := range keys {
		if k.isFileOnly() {
			tree.Put(k.name, c.buildPluginsNode())
			continue
		}
		tree.Put(k.name, c.addOrigin(k.name, yamlfile.Node(k.kind, k.field(&c))))
	}
	b, err := tree.Encode()
	if err != nil {
		return nil, fmt.Errorf("write configuration as YAML: %w", err)
	}
	return b, nil
}

// buildPluginsNode returns the section of the plugins.
func (c *Config) buildPluginsNode() *yaml.Node {
	all := yamlfile.NewSection()
	if len(c.Plugins) == 0 {
		all.Style = yaml.FlowStyle // {}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Plugins)) {
		p := c.Plugins[name]
		set := yamlfile.NewSection()
		for _, l := range limits {
			key := pluginsKey + "." + name + ".limits." + l.name
			if c.origins[key] != "" {
				yamlfile.Add(set, l.name, c.addOrigin(key, yamlfile.Node(l.kind, l.field(&p.Limits))))
			}
		}
		if len(set.Content) == 0 {
			set.Style = yaml.FlowStyle
		}
		one := yamlfile.NewSection()
		yamlfile.Add(one, "limits", set)
		yamlfile.Add(all, name, one)
	}
	return all
}

// addOrigin adds the origin of a key as a comment, unless it is a default.
func (c *Config) addOrigin(key string, n *yaml.Node) *yaml.Node {
	if at := c.origins[key]; at != "" {
		if strings.ContainsFunc(at, func(r rune) bool { return !strconv.IsPrint(r) }) {
			at = strconv.Quote(at) // a line break would end the comment
		}
		n.LineComment = "from " + at
	}
	return n
}
