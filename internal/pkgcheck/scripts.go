package pkgcheck

import (
	"archive/zip"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"pluginsupervisor/internal/service"
)

// maxHead is how much of a script the kernel reads for its interpreter, in bytes.
const maxHead = 256

// Script is a program of a package that an interpreter of the host runs.
type Script struct {
	Name        string // path below the top folder
	Interpreter string // absolute path
	Argument    string // what follows it in the first line, "" for nothing
}

// readScripts reads the first lines of the package's programs: of its executable,
// and of those that its service.yaml names. No host can run one whose first line
// is wrong (AP-11).
func (p *Package) readScripts() error {
	names := []string{path.Clean(p.Config.RunPath)}
	if p.Service != nil {
		for _, k := range service.Keys() {
			if words, ok := k.Field(p.Service).(*[]string); ok && len(*words) > 0 && !filepath.IsAbs((*words)[0]) {
				names = append(names, path.Clean((*words)[0]))
			}
		}
	}
	for _, name := range names {
		f := p.findFile(name)
		if f == nil { // reported by who looks for it
			continue
		}
		script, isScript, err := readScript(name, f)
		if err != nil {
			return err
		}
		if isScript {
			p.Scripts = append(p.Scripts, script)
		}
	}
	return nil
}

func readScript(name string, f *zip.File) (s Script, isScript bool, err error) {
	head, err := readFile(f, maxHead)
	if err != nil {
		return s, false, err
	}
	line, isScript := strings.CutPrefix(string(head), "#!")
	if !isScript {
		return s, false, nil
	}
	line, _, _ = strings.Cut(line, "\n")
	s = Script{Name: name}
	if err := s.parse(line); err != nil {
		return s, true, newError(NotAcceptable, "package is not acceptable: %s: %w", shortenName(name), err)
	}
	return s, true, nil
}

// parse reads the first line of a script behind the #!.
func (s *Script) parse(line string) error {
	if strings.HasSuffix(line, "\r") {
		return errors.New("its first line ends in CR LF, so that no interpreter is found; save it with LF line ends (sed -i 's/\\r$//')")
	}
	s.Interpreter, s.Argument, _ = strings.Cut(strings.Trim(line, " \t"), " ")
	if before, after, tab := strings.Cut(s.Interpreter, "\t"); tab {
		s.Interpreter, s.Argument = before, after+" "+s.Argument
	}
	s.Argument = strings.Trim(s.Argument, " \t")
	switch {
	case s.Interpreter == "":
		return errors.New("its first line names no interpreter; begin it with #!/bin/sh, for example")
	case !strings.HasPrefix(s.Interpreter, "/"):
		return fmt.Errorf("its interpreter %q is not an absolute path; begin it with #!/bin/sh, for example", shortenName(s.Interpreter))
	}
	return nil
}
