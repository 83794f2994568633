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

// The environment of the existing product, which counts where the configuration
// does not say otherwise (CL-19).
const (
	envServerHost = "ALIYUN_ASSIST_SERVER_HOST" // host, with a port where it is not 443
	envCertPath   = "ALIYUN_ASSIST_CERT_PATH"   // authorities in PEM, beside the host's own
	envProxy      = "ALIYUN_ASSIST_PROXY"       // URL
)

// versionFolder is the name of a folder that the existing product installs its
// programs into, below BASE.
var versionFolder = regexp.MustCompile(`^[0-9]+(\.[0-9]+)+$`)

// locate sets where BASE is, if the configuration does not say: the parent of
// the folder of this program where that is an installation, else the default
// where that is one (CL-19).
func locate(cfg *config.Config, executable string) error {
	if cfg.Origin("root") != "" {
		return nil
	}
	folder := filepath.Dir(executable)
	switch parent := filepath.Dir(folder); {
	case versionFolder.MatchString(filepath.Base(folder)) || hasDatabase(parent):
		cfg.Root = parent
	case hasDatabase(cfg.Root) || exists(layout.Supervisor(cfg.Root)):
	default:
		return fail(exitDatabaseRead, "no installation found, neither %s nor %s holds a plugin database; set root in %s or SUPERVISOR_ROOT",
			layout.Plugins(parent), layout.Plugins(cfg.Root), config.DefaultFile)
	}
	return nil
}

// mustExist returns an error where nothing was ever installed at BASE, which
// would look like an installation without plugins (CL-19).
func mustExist(cfg config.Config) error {
	if exists(layout.Plugins(cfg.Root)) || cfg.Origin("root") != "" && exists(cfg.Root) {
		return nil
	}
	return fail(exitDatabaseRead, "no installation found: there is no %s", layout.Plugins(cfg.Root))
}

func hasDatabase(root string) bool {
	return exists(layout.Database(root)) || exists(layout.LegacyList(root))
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

// reach sets how the control plane is reached, where the configuration does not
// say, by the environment of the existing product (CL-19).
func reach(cfg *config.Config, environ []string, executable string) error {
	set := map[string]string{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		set[name] = value
	}
	plane := &cfg.ControlPlane
	if host := set[envServerHost]; host != "" && cfg.Origin("control_plane.url") == "" {
		plane.URL = "https://" + host
	}
	if cfg.Origin("control_plane.ca_file") == "" {
		for _, file := range []string{set[envCertPath], filepath.Join(filepath.Dir(executable), "config", "GlobalSignRootCA.crt")} {
			if file != "" && exists(file) {
				plane.CAFile, plane.HostCAs = file, true
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
	plane.Proxy = proxy
	return nil
}
