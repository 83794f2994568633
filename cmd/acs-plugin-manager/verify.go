package main

import (
	"context"
	"strings"

	"pluginsupervisor/internal/install"
)

// verifyPackage fetches a package from a URL, in one try, runs it in its staging folder
// and removes that (CL-14).
func (m *manager) verifyPackage(ctx context.Context) error {
	if scheme, _, found := strings.Cut(m.o.url, ":"); !found || scheme != "http" && scheme != "https" && scheme != "file" {
		return failWith(exitDownload, "%q is not an http, https or file URL", m.o.url)
	}
	m.cfg.Install.Tries = 1
	i, err := m.newInstaller()
	if err != nil {
		return err
	}
	defer i.Close()
	staged, err := i.Stage(ctx, install.Request{Source: m.o.url})
	if err != nil {
		return err
	}
	defer m.discardStaged(staged)
	r := staged.Config.Record()
	return resultError(r.Plugin(), m.runPlugin(ctx, r.Plugin(), r.Timeout, staged.Dir, ""))
}
