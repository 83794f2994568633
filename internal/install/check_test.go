package install_test

import (
	"testing"

	"pluginsupervisor/internal/install"
	"pluginsupervisor/internal/pkgcheck/pkgchecktest"
)

// AP-12: a package with a user that does not exist on this host is not installed.
func TestNoSuchUser(t *testing.T) {
	root := newRoot(t)
	i := newInstaller(t, root, nil)
	z := pkgchecktest.Zip(t, pkgchecktest.Wrapped("command: [bin/run]\nuser: not-on-this-host\n")...)
	_, err := i.Stage(t.Context(), install.Request{Source: writePackage(t, z)})
	checkRefused(t, err, 238, `service.yaml:2: user: there is no user "not-on-this-host" on this host`)
}
