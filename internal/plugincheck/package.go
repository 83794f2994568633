package plugincheck

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"pluginsupervisor/internal/install"
	"pluginsupervisor/internal/install/failure"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/pack"
	"pluginsupervisor/internal/pkgcheck"
	"pluginsupervisor/plugin"
)

// checkPackage checks the package as hosts and control planes do. A folder is
// packed first, as `plugin pack` does.
func checkPackage(ctx context.Context, s *subject) (verdict, error) {
	err := s.openPackage(ctx)
	if refusal := (*pkgcheck.Error)(nil); errors.As(err, &refusal) {
		return fail("a package that hosts accept", err.Error(), "correct what it names; hosts and control planes refuse the package in the same words")
	}
	if err != nil {
		return verdict{}, err
	}
	s.boundLogs()
	return pass()
}

func (s *subject) openPackage(ctx context.Context) error {
	if info, err := os.Stat(s.source); err != nil {
		return err
	} else if info.IsDir() {
		files, _, err := pack.Folder(s.source)
		if err != nil {
			return &pkgcheck.Error{Reason: pkgcheck.BadEntry, Err: err}
		}
		s.archive = filepath.Join(s.root, "package.zip")
		if _, err := pack.Make(ctx, files, s.archive); err != nil {
			return err
		}
	}
	f, err := os.Open(s.archive)
	if err != nil {
		return err
	}
	s.opened = f
	info, err := f.Stat()
	if err != nil {
		return err
	}
	p, err := pkgcheck.Check(f, info.Size(), pkgcheck.Limits{})
	if err == nil {
		err = p.CheckContent(ctx)
	}
	if err == nil {
		s.pkg = p
	}
	return err
}

// checkInterpreters checks that the interpreters of the package's scripts exist on
// this host. That their first lines are in order was checked with the package.
func checkInterpreters(_ context.Context, s *subject) (verdict, error) {
	for _, script := range s.pkg.Scripts {
		missing := script.Interpreter
		if isExecutable(missing) {
			if path.Base(missing) != "env" {
				continue
			}
			if missing = envProgram(script.Argument); missing == "" || isOnPath(missing) {
				continue
			}
		}
		return fail("each interpreter exists on the host", fmt.Sprintf("%s is run by %s, which does not exist here", script.Name, missing),
			fmt.Sprintf("install %s on each host, put it into the package, or begin %s with an interpreter that each host has, such as #!/bin/sh", missing, script.Name))
	}
	return pass()
}

// envProgram returns the program that env(1) runs by its arguments in the first
// line of a script, "" where that is not plain.
func envProgram(arguments string) string {
	words := strings.Fields(arguments)
	if len(words) > 0 && words[0] == "-S" {
		words = words[1:]
	}
	if len(words) == 0 || strings.HasPrefix(words[0], "-") || strings.Contains(words[0], "=") {
		return ""
	}
	return words[0]
}

func isOnPath(program string) bool {
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if isExecutable(filepath.Join(dir, program)) {
			return true
		}
	}
	return isExecutable(program)
}

func isExecutable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// checkInstall installs the package in the temporary root.
func checkInstall(ctx context.Context, s *subject) (verdict, error) {
	const expected = "it can be installed on this host"
	staged, err := s.installer.Stage(ctx, install.Request{Source: s.archive})
	if f, ok := errors.AsType[*failure.Error](err); ok && f.Reason != failure.Storage {
		return fail(expected, err.Error(), "correct what it names, or check on a host that the package is for")
	}
	if err != nil {
		return verdict{}, err
	}
	defer func() { _ = staged.Discard() }() // the root is removed in any case
	r := staged.Config.Record()
	if err := s.manager.Install(ctx, staged, r); err != nil {
		return verdict{}, err
	}
	s.plugin = r.Plugin()
	switch result := s.run(ctx, plugin.VerbInstall); {
	case !result.Started:
		return cannotRun(plugin.VerbInstall, result)
	case result.Err != nil:
		return fail("--install exits 0", "--install: "+result.Err.Error()+s.printed(result.Output), "exit 0 in --install when there is nothing to do or all is done")
	}
	return passUnless(s.ensureStopped(ctx)) // --install may have started it
}

// anotherVersion is added to a version for an upgrade.
const anotherVersion = "-check"

// repack writes the package once more, as another version, and returns its path.
func (s *subject) repack(version string) (file string, err error) {
	file = filepath.Join(s.root, "upgrade.zip")
	f, err := os.Create(file)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	z := zip.NewWriter(f)
	for _, entry := range s.pkg.Files {
		name := strings.TrimPrefix(strings.TrimPrefix(entry.Name, s.pkg.Top), "/") // a folder on top may hold the version
		if name == layout.PackageConfig {
			err = writeConfig(z, entry, version)
		} else {
			err = copyEntry(z, entry, name)
		}
		if err != nil {
			return "", fmt.Errorf("repack %s: %w", name, err)
		}
	}
	return file, z.Close()
}

// copyEntry copies a file of a package without unpacking it.
func copyEntry(z *zip.Writer, entry *zip.File, name string) error {
	header := entry.FileHeader
	header.Name = name
	to, err := z.CreateRaw(&header)
	if err != nil {
		return err
	}
	from, err := entry.OpenRaw()
	if err == nil {
		_, err = io.Copy(to, from)
	}
	return err
}

// writeConfig writes a config.json with another version.
func writeConfig(z *zip.Writer, entry *zip.File, version string) error {
	fields, err := readFields(entry)
	if err != nil {
		return err
	}
	for key := range fields {
		if strings.EqualFold(key, "version") {
			fields[key] = version
		}
	}
	text, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	to, err := z.Create(layout.PackageConfig)
	if err == nil {
		_, err = to.Write(text)
	}
	return err
}

// readFields returns the fields of a config.json as they are in the file.
func readFields(entry *zip.File) (fields map[string]any, err error) {
	from, err := entry.Open()
	if err != nil {
		return nil, err
	}
	defer from.Close()
	d := json.NewDecoder(from)
	d.UseNumber()
	return fields, d.Decode(&fields)
}
