package main

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"pluginsupervisor/internal/config"
	"pluginsupervisor/internal/layout"
)

// Environment variables of the existing product. The configuration overrides them
// (CL-19).
const (
	envServerHost = "ALIYUN_ASSIST_SERVER_HOST" // host, with a port unless 443
	envCertPath   = "ALIYUN_ASSIST_CERT_PATH"   // certificate authorities in PEM, added to those of the host
	envProxy      = "ALIYUN_ASSIST_PROXY"       // URL
)

// versionFolder matches the name of the folder below BASE with the programs of the
// existing product.
var versionFolder = regexp.MustCompile(`^[0-9]+(\.[0-9]+)+$`)

// setRoot sets BASE unless the configuration does: to the parent of the folder of
// this program if that is an installation, else to the default if that is one
// (CL-19).
func setRoot(cfg *config.Config, executable string) error {
	if cfg.Origin("root") != "" {
		return nil
	}
	folder := filepath.Dir(executable)
	switch parent := filepath.Dir(folder); {
	case versionFolder.MatchString(filepath.Base(folder)) || hasDatabase(parent):
		cfg.Root = parent
	case hasDatabase(cfg.Root) || fileExists(layout.Supervisor(cfg.Root)):
	default:
		return failWith(exitDatabaseRead, "no installation found, neither %s nor %s holds a plugin database; set root in %s or SUPERVISOR_ROOT",
			layout.Plugins(parent), layout.Plugins(cfg.Root), config.DefaultFile)
	}
	return nil
}

// checkInstallation returns an error when nothing was ever installed at BASE, which
// would look like an installation without plugins (CL-19).
func checkInstallation(cfg config.Config) error {
	if fileExists(layout.Plugins(cfg.Root)) || cfg.Origin("root") != "" && fileExists(cfg.Root) {
		return nil
	}
	return failWith(exitDatabaseRead, "no installation found: there is no %s", layout.Plugins(cfg.Root))
}

func hasDatabase(root string) bool {
	return fileExists(layout.Database(root)) || fileExists(layout.LegacyList(root))
}

func fileExists(path string) bool { _, err := os.Stat(path); return err == nil }

// setControlPlane sets the URL, authorities and proxy of the control plane by the
// environment of the existing product, unless the configuration sets them (CL-19).
func setControlPlane(cfg *config.Config, environ []string, executable string) error {
	set := map[string]string{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		set[name] = value
	}
	server := &cfg.ControlPlane
	if host := set[envServerHost]; host != "" && cfg.Origin("control_plane.url") == "" {
		server.URL = "https://" + host
	}
	if cfg.Origin("control_plane.ca_file") == "" {
		for _, file := range []string{set[envCertPath], filepath.Join(filepath.Dir(executable), "config", "GlobalSignRootCA.crt")} {
			if file != "" && fileExists(file) {
				server.CAFile, server.HostCAs = file, true
				break
			}
		}
	}
	address := set[envProxy]
	if address == "" {
		return nil
	}
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	proxy, err := url.Parse(address)
	if err != nil {
		return fmt.Errorf("%s: %w", envProxy, err)
	}
	server.Proxy = proxy
	return nil
}
