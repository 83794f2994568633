package service

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/record"
	"pluginsupervisor/internal/yamlfile"
)

// Read reads dir/service.yaml. The error is that of Parse, or wraps
// fs.ErrNotExist when there is none.
func Read(dir string) (Service, error) {
	path := filepath.Join(dir, layout.Service)
	text, err := record.ReadRegularFile(path, yamlfile.MaxSize+1)
	if err != nil {
		return Service{}, fmt.Errorf("read %s: %w", layout.Service, err)
	}
	return Parse(path, text)
}

// Parse parses the text of a service.yaml; name is the file in mistakes. The error
// joins a *yamlfile.Mistake for each fault.
func Parse(name string, text []byte) (Service, error) {
	p := parser{Document: yamlfile.Document{Name: name}, s: Default()}
	p.s.file, p.s.lines = name, map[string]int{}
	names := Names()
	p.Section("", p.Parse(text), names, p.readKey)
	p.checkCombinations()
	if err := yamlfile.Join(p.Mistakes); err != nil {
		return Service{}, err
	}
	return p.s, nil
}

// Names returns the names of all keys.
func Names() []string {
	var names []string
	for _, k := range Keys() {
		names = append(names, k.Name)
	}
	return names
}

type parser struct {
	yamlfile.Document
	s Service
}

// readKey sets the value of one key.
func (p *parser) readKey(name string, v *yaml.Node) {
	keys := Keys()
	k := keys[slices.IndexFunc(keys, func(k Key) bool { return k.Name == name })]
	p.s.lines[name] = v.Line
	switch field := k.Field(&p.s).(type) {
	case *[]string:
		p.readCommand(k, field, v)
	case *map[string]string:
		p.readVariables(k, field, v)
	default:
		p.Value(name, k.Kind, field, v)
	}
}

// readCommand sets a command. Numbers and words such as true are texts in it.
func (p *parser) readCommand(k Key, field *[]string, v *yaml.Node) {
	if v.Kind != yaml.SequenceNode {
		p.Wrong(v.Line, k.Name, fmt.Sprintf("%s where a list belongs; allowed: %s", yamlfile.Describe(v), k.Kind.Allowed()))
		return
	}
	words := []string{}
	for _, e := range v.Content {
		if e.Kind != yaml.ScalarNode || e.Tag == "!!null" {
			p.Wrong(e.Line, k.Name, fmt.Sprintf("%s in a list; allowed: %s", yamlfile.Describe(e), k.Kind.Allowed()))
			return
		}
		words = append(words, e.Value)
	}
	if len(words) == 0 && k.Name != "command" { // [] is no hook
		return
	}
	if err := checkWords(words); err != nil {
		p.Wrong(v.Line, k.Name, fmt.Sprintf("%v; allowed: %s", err, k.Kind.Allowed()))
		return
	}
	*field = words
}

func (p *parser) readVariables(k Key, field *map[string]string, v *yaml.Node) {
	p.Pairs(k.Name, v, "names of variables", func(name string, key, v *yaml.Node) {
		whole := k.Name + "." + name
		if v.Kind != yaml.ScalarNode || v.Tag == "!!null" {
			p.Wrong(v.Line, whole, fmt.Sprintf("%s where a text belongs; allowed: %s", yamlfile.Describe(v), k.Kind.Allowed()))
			return
		}
		if err := checkVariable(name, v.Value); err != nil {
			p.Wrong(key.Line, whole, fmt.Sprintf("%v; allowed: %s", err, k.Kind.Allowed()))
			return
		}
		if *field == nil {
			*field = map[string]string{}
		}
		(*field)[name] = v.Value
	})
}

// checkCombinations adds a mistake for each invalid combination of keys.
func (p *parser) checkCombinations() {
	s := &p.s
	if len(s.Command) == 0 && s.lines["command"] == 0 {
		p.Wrong(1, "command", "is missing; allowed: "+Words{}.Allowed())
	}
	p.checkOneOf("ready", s.Ready.Check, "after")
	p.checkOneOf("health", s.Health.Check)
	if !s.Health.IsSet() {
		for _, name := range []string{"health.interval", "health.timeout", "health.failures"} {
			if line := s.lines[name]; line > 0 {
				p.Wrong(line, name, "is set without a check; allowed: with health.http, health.tcp or health.command")
				break
			}
		}
	}
	if !s.Ready.IsSet() && s.Ready.After > s.Ready.Timeout {
		p.Wrong(max(s.lines["ready.after"], s.lines["ready.timeout"], 1), "ready.after",
			fmt.Sprintf("%v is longer than ready.timeout, %v; allowed: at most as long", s.Ready.After, s.Ready.Timeout))
	}
	if total := s.Ready.Timeout + s.Stop.Timeout; total > MaxTimeout {
		p.Wrong(max(s.lines["ready.timeout"], s.lines["stop.timeout"]), "ready.timeout",
			fmt.Sprintf("%v together with stop.timeout; allowed: at most %v", total, MaxTimeout))
	}
}

// checkOneOf adds a mistake when more than one check of a section is set.
func (p *parser) checkOneOf(section string, c Check, others ...string) {
	words := append([]string{"http", "tcp", "command"}, others...)
	set := slices.DeleteFunc(slices.Clone(words), func(w string) bool { return p.s.lines[section+"."+w] == 0 })
	if len(set) > 1 {
		second := section + "." + set[1]
		p.Wrong(p.s.lines[second], second, fmt.Sprintf("is set beside %s.%s; allowed: one of %s", section, set[0], strings.Join(words, ", ")))
	}
}

// CheckFiles checks the service against the files of its package: its programs must be
// executable files, its working directory a folder. stat returns the mode of a path in
// the package, or an error that wraps fs.ErrNotExist. The error joins a
// *yamlfile.Mistake for each fault.
func (s Service) CheckFiles(stat func(path string) (fs.FileMode, error)) error {
	d := yamlfile.Document{Name: s.file}
	for _, k := range Keys() {
		words, isCommand := k.Field(&s).(*[]string)
		if !isCommand || len(*words) == 0 || filepath.IsAbs((*words)[0]) {
			continue
		}
		path := filepath.Clean((*words)[0])
		mode, err := stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			d.Wrong(s.lines[k.Name], k.Name, fmt.Sprintf("%s is not in the package; allowed: %s", path, Words{}.Allowed()))
		case err != nil:
			d.Wrong(s.lines[k.Name], k.Name, fmt.Sprintf("%s: %v", path, err))
		case !mode.IsRegular():
			d.Wrong(s.lines[k.Name], k.Name, fmt.Sprintf("%s is not a file; allowed: a program", path))
		case mode&0o111 == 0:
			d.Wrong(s.lines[k.Name], k.Name, fmt.Sprintf("%s is not executable (mode %04o); run `chmod +x %s` before packing", path, mode.Perm(), path))
		}
	}
	if path := filepath.Clean(s.WorkingDir); path != "." {
		if mode, err := stat(path); err != nil || !mode.IsDir() {
			d.Wrong(s.lines["working_dir"], "working_dir", fmt.Sprintf("%s is not a folder of the package", path))
		}
	}
	return yamlfile.Join(d.Mistakes)
}

// Mistake returns an error about a key, with its place in the file.
func (s Service) Mistake(key, text string) error {
	d := yamlfile.Document{Name: s.file}
	return &yamlfile.Mistake{Where: d.At(max(1, s.lines[key])), Key: key, Text: text}
}

// YAML returns the text of a service.yaml with the values that differ from Default.
func (s Service) YAML() ([]byte, error) {
	var tree yamlfile.Tree
	unset := Default()
	for _, k := range Keys() {
		field := k.Field(&s)
		if reflect.DeepEqual(field, k.Field(&unset)) {
			continue
		}
		switch field := field.(type) {
		case *[]string:
			list := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
			for _, w := range *field {
				list.Content = append(list.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: w})
			}
			tree.Put(k.Name, list)
		case *map[string]string:
			section := yamlfile.NewSection()
			for _, name := range slices.Sorted(maps.Keys(*field)) {
				yamlfile.Add(section, name, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: (*field)[name]})
			}
			tree.Put(k.Name, section)
		default:
			tree.Put(k.Name, yamlfile.Node(k.Kind, field))
		}
	}
	b, err := tree.Encode()
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", layout.Service, err)
	}
	return b, nil
}
