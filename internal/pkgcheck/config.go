package pkgcheck

import (
	"archive/zip"
	"io"
	"path"
	"slices"
	"strings"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/platform"
	"pluginsupervisor/internal/record"
	"pluginsupervisor/plugin"
)

// topFolder returns the single folder that holds all entries, as in many archives,
// or "".
func topFolder(entries []*zip.File) string {
	var top string
	for _, e := range entries {
		first, _, inFolder := strings.Cut(e.Name, "/")
		if !inFolder || top != "" && first != top {
			return ""
		}
		top = first
	}
	return top
}

// entryName returns the name of the entry with that path below the top folder.
func (p *Package) entryName(name string) string { return path.Join(p.Top, name) }

// findFile returns the file with that path below the top folder, or nil.
func (p *Package) findFile(name string) *zip.File {
	i := slices.IndexFunc(p.Files, func(f *zip.File) bool { return f.Name == p.entryName(name) })
	if i < 0 {
		return nil
	}
	return p.Files[i]
}

func (p *Package) readConfig() (record.PackageConfig, error) {
	f := p.findFile(layout.PackageConfig)
	if f == nil {
		return record.PackageConfig{}, newError(NotAcceptable, "package has no config.json")
	}
	text, err := readFile(f, record.MaxConfigSize+1)
	if err != nil {
		return record.PackageConfig{}, err
	}
	if len(text) > record.MaxConfigSize {
		return record.PackageConfig{}, newError(BadConfig, "package has a bad config.json: more than %d bytes", record.MaxConfigSize)
	}
	c, err := record.DecodePackageConfig(text)
	if err != nil {
		return record.PackageConfig{}, newError(BadConfig, "package has a bad config.json: %w", err)
	}
	return c, nil
}

// readCommander reads the axt-commander.json of a Commander, for the existing agent.
func (p *Package) readCommander() error {
	f := p.findFile(layout.Commander)
	if f == nil {
		return newError(NotAcceptable, "package of type Commander has no axt-commander.json")
	}
	text, err := readFile(f, record.MaxCommanderSize+1)
	if err != nil {
		return err
	}
	if len(text) > record.MaxCommanderSize {
		return newError(BadConfig, "package has a bad axt-commander.json: more than %d bytes", record.MaxCommanderSize)
	}
	if p.Config, err = p.Config.WithCommander(text); err != nil {
		return newError(BadConfig, "package has a bad axt-commander.json: %w", err)
	}
	return nil
}

// readFile returns the content of a file, at most that many bytes.
func readFile(f *zip.File, most int64) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, contentError(f, err)
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, most))
	if err != nil {
		return nil, contentError(f, err)
	}
	return text, nil
}

// checkConfig checks the fields of config.json, and that they fit the package.
func (p *Package) checkConfig() (err error) {
	c := p.Config
	if err := plugin.CheckName(c.Name); err != nil {
		return newError(NotAcceptable, "package is not acceptable: config.json: name: %w", err)
	}
	if err := plugin.CheckName(c.Version); err != nil {
		return newError(NotAcceptable, "package is not acceptable: config.json: version: %w", err)
	}
	if err := plugin.CheckRunPath(c.RunPath); err != nil {
		return newError(NotAcceptable, "package is not acceptable: config.json: %w", err)
	}
	if p.OS, err = platform.PackageOS(c.OSType); err != nil {
		return newError(NotAcceptable, "package is not acceptable: config.json: %w", err)
	}
	if p.Arch, err = platform.PackageArch(c.Arch); err != nil {
		return newError(NotAcceptable, "package is not acceptable: config.json: %w", err)
	}
	if p.Top != "" && p.Top != c.Name && p.Top != c.Name+"_"+c.Version && p.Top != c.Name+"-"+c.Version {
		return newError(NotAcceptable, "package has folder %q on top, which is not named after %s %s", shortenName(p.Top), c.Name, c.Version)
	}
	if c.Type == plugin.Commander {
		if err := p.readCommander(); err != nil {
			return err
		}
	}
	return p.checkExecutable()
}

func (p *Package) checkExecutable() error {
	name, f := p.Config.RunPath, p.findFile(p.Config.RunPath)
	switch {
	case f == nil && slices.Contains(p.Folders, p.entryName(name)):
		return newError(NotAcceptable, "executable %q of the package is not a file", shortenName(name))
	case f == nil:
		return newError(NotAcceptable, "package lacks its executable %q", shortenName(name))
	}
	return nil
}
