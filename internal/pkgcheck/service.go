package pkgcheck

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/service"
	"pluginsupervisor/internal/yamlfile"
)

// checkService checks the service.yaml of a package whose executable is our shim
// (AP-12). In any other package a file of that name has no meaning.
func (p *Package) checkService() error {
	if path.Base(p.Config.RunPath) != layout.Shim {
		return nil
	}
	f := p.findFile(layout.Service)
	if f == nil {
		return newError(NotAcceptable, "package lacks %s, which its executable %s needs", layout.Service, layout.Shim)
	}
	text, err := readFile(f, yamlfile.MaxSize+1)
	if err != nil {
		return err
	}
	s, err := service.Parse(layout.Service, text)
	if err == nil {
		err = s.CheckFiles(p.statEntry)
	}
	if err != nil {
		first, rest, _ := strings.Cut(err.Error(), "\n")
		if more := strings.Count(rest, "\n"); rest != "" {
			first = fmt.Sprintf("%s (and %d more)", first, more+1)
		}
		return newError(NotAcceptable, "package is not acceptable: %s", first)
	}
	p.Service = &s
	return nil
}

// statEntry returns the mode of a file or folder of the package, as a host gives it.
func (p *Package) statEntry(name string) (fs.FileMode, error) {
	if f := p.findFile(name); f != nil {
		return p.Mode(f), nil
	}
	if slices.Contains(p.Folders, p.entryName(name)) {
		return fs.ModeDir | 0o755, nil
	}
	return 0, fs.ErrNotExist
}
