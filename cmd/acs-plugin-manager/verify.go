package main

import (
	"context"
	"strings"

	"pluginsupervisor/internal/install"
)

// verify runs a package in its staging folder, which is gone afterwards (CL-14).
// It is fetched by one try, from a URL.
func (m *manager) verify(ctx context.Context) error {
	if scheme, _, found := strings.Cut(m.o.url, ":"); !found || scheme != "http" && scheme != "https" && scheme != "file" {
		return fail(exitDownload, "%q is no http, https or file URL", m.o.url)
	}
	m.cfg.Install.Tries = 1
	i, err := m.installer()
	if err != nil {
		return err
	}
	defer i.Close()
	staged, err := i.Stage(ctx, install.Request{Source: m.o.url})
	if err != nil {
		return err
	}
	defer m.discard(staged)
	r := staged.Config.Record()
	return ended(r.Plugin(), m.run(ctx, r.Plugin(), r.Timeout, staged.Dir, ""))
}
