package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"

	"pluginsupervisor/internal/platform"
	"pluginsupervisor/internal/process"
	"pluginsupervisor/plugin"
)

// ended is how a plugin's command ended, as an exit code (CL-02, CL-05, CL-06).
func ended(p plugin.Plugin, r process.Result) error {
	switch {
	case r.Err == nil:
		return nil
	case r.TimedOut:
		return fail(exitTimeout, "run %s: %w", p.Name, r.Err)
	case (errors.Is(r.Err, fs.ErrNotExist) || errors.Is(r.Err, syscall.EISDIR)) && !r.Started:
		return fail(exitPackage, "run %s: executable does not exist: %w", p.Name, r.Err)
	case !r.Started || r.Cancelled:
		return fail(exitNotRun, "run %s: %w", p.Name, r.Err)
	case r.Signal != 0:
		return fail(exitSignal, "run %s: %w", p.Name, r.Err)
	}
	return &exitError{code: r.ExitCode}
}

// tellPlane is how long one report or event may take.
const tellPlane = 5 * time.Second

// report tells the control plane, which is best effort: the supervisor's next
// report says the same.
func (m *manager) report(ctx context.Context, p plugin.Plugin, s plugin.Status, tag plugin.SysTag) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellPlane)
	defer cancel()
	entry := plugin.ReportEntry{Name: p.Name, Version: p.Version, Status: s, SysTag: tag}
	if _, err := m.plane.Report(ctx, plugin.Report{Entries: []plugin.ReportEntry{entry}}); err != nil {
		fmt.Fprintf(m.stderr, "acs-plugin-manager: %v\n", err)
	}
}

// told sends the event of an execution (CL-02).
func (m *manager) told(ctx context.Context, what execution, failed error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellPlane)
	defer cancel()
	p, kind := what.plugin, what.plugin.Type.String()
	if p.Name == "" {
		kind = "" // it is in a file that could not be read
	}
	code, own := exitCode(failed)
	word := ""
	if !own {
		word = errorCodes[code]
	} else if code == exitSignal {
		code = -1 // as Go has it
	}
	if errors.Is(failed, syscall.ENOEXEC) {
		word += ".ExecFormatError"
	}
	err := m.plane.Send(ctx, plugin.Event{ID: "agent.plugin.execute", At: time.Now(), Keywords: map[string]string{
		"pluginName": p.Name, "pluginVersion": p.Version, "pluginType": kind, "resource": what.resource,
		"exitCode": fmt.Sprint(code), "errorCode": word, "localArch": platform.LocalArch(), "localOsType": platform.LocalOS(),
	}})
	if err != nil {
		fmt.Fprintf(m.stderr, "acs-plugin-manager: send event: %v\n", err)
	}
}

// errorCodes are the events' words for exit codes that are not a plugin's: those
// that were recorded of the existing program, and ours in their manner.
var errorCodes = map[int]string{
	exitLock: "LOCK_ERR", exitNotFound: "PACKAGE_NOT_FOUND", exitNotZip: "PACKAGE_FORMAT_ERR", exitUnzip: "UNZIP_ERR",
	exitConfig: "UNMARSHAL_ERR", exitPackage: "PLUGIN_FORMAT_ERR", exitDigest: "MD5_CHECK_FAIL", exitDownload: "DOWNLOAD_FAIL",
	exitDatabaseRead: "DATABASE_READ_ERR", exitDatabaseWrite: "DATABASE_WRITE_ERR", exitList: "LIST_ERR",
	exitPermission: "PERMISSION_ERR", exitNotRun: "EXECUTE_FAILED_ERR", exitTimeout: "EXECUTE_TIMEOUT_ERR",
}
