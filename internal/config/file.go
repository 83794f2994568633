package config

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"pluginsupervisor/internal/service"
	"pluginsupervisor/internal/yamlfile"
	"pluginsupervisor/plugin"
)

// setting is the value of a key and where it was set.
type setting struct {
	key   key
	text  string
	where string
}

// document holds the settings of a file.
type document struct {
	yamlfile.Document
	settings []setting
	plugins  map[string]Plugin
	limits   map[string]string // where each limit was set, by its full name
}

// parseFile parses the text of a file; mistakes contain name.
func parseFile(name string, text []byte) *document {
	d := &document{Document: yamlfile.Document{Name: name}, plugins: map[string]Plugin{}, limits: map[string]string{}}
	d.Section("", d.Parse(text), listKeyNames(), d.readValue)
	return d
}

// readValue reads the value of one key.
func (d *document) readValue(name string, n *yaml.Node) {
	k, _ := findKeyNamed(name)
	if k.isFileOnly() {
		d.Pairs(name, n, "a plugin's name", d.readPlugin)
		return
	}
	if text, ok := d.Value(name, k.kind, k.field(new(Config)), n); ok {
		d.settings = append(d.settings, setting{k, text, d.At(n.Line)})
	}
}

// readPlugin reads the settings of one plugin.
func (d *document) readPlugin(name string, k, v *yaml.Node) {
	if err := plugin.CheckName(name); err != nil {
		d.Wrong(k.Line, pluginsKey, fmt.Sprintf("%v; allowed: %s", err, plugin.NameRule))
		return
	}
	var p Plugin
	whole := pluginsKey + "." + name
	d.Pairs(whole, v, "limits", func(word string, k, v *yaml.Node) {
		if word != "limits" {
			d.Unknown(k, whole+"."+word, []string{"limits"}, listKeyNames())
			return
		}
		d.Pairs(whole+".limits", v, strings.Join(listLimitNames(), ", "), func(word string, k, v *yaml.Node) {
			d.readLimit(&p.Limits, whole+".limits.", word, k, v)
		})
	})
	d.plugins[name] = p
}

// readLimit reads one limit of a plugin.
func (d *document) readLimit(into *service.Limits, prefix, word string, k, v *yaml.Node) {
	for _, l := range limits {
		if l.name != word {
			continue
		}
		if _, ok := d.Value(prefix+word, l.kind, l.field(into), v); ok {
			d.limits[prefix+word] = d.At(v.Line)
		}
		return
	}
	d.Unknown(k, prefix+word, listLimitNames(), listKeyNames())
}

func listLimitNames() []string {
	names := make([]string, len(limits))
	for i, l := range limits {
		names[i] = l.name
	}
	return names
}
