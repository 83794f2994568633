package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"time"
	"unicode"

	"pluginsupervisor/internal/platform"
	"pluginsupervisor/internal/process"
	"pluginsupervisor/plugin"
)

// ended returns how a plugin's command ended, as an exit code (CL-02, CL-05,
// CL-06).
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

// sendWithin is how long one report or event may take.
const sendWithin = 5 * time.Second

// sendEvent sends the event of an execution, in the words of the existing
// program (CL-02, CL-21).
func (m *manager) sendEvent(ctx context.Context, what execution, failed error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendWithin)
	defer cancel()
	p := what.plugin
	code, own := exitCode(failed)
	word := ""
	switch {
	case !own:
		word = errorCode(code, failed)
	case code == exitSignal && !isPluginsOwn(failed):
		code = -1 // as Go has it
	}
	err := m.plane.Send(ctx, plugin.Event{ID: plugin.EventExecute, At: time.Now(), Keywords: map[string]string{
		"pluginName": p.Name, "pluginVersion": p.Version, "pluginType": what.kind, "resource": what.resource,
		"exitCode": fmt.Sprint(code), "errorCode": word, "localArch": platform.LocalArch(), "localOsType": platform.LocalOS(),
	}})
	if err != nil {
		m.say("%v", err)
	}
}

// errorCodes are the words for exit codes that are not a plugin's.
var errorCodes = map[int]string{
	exitLock: "LOCKING_ERR", exitNotFound: "PACKAGE_NOT_FOUND", exitNotZip: "PACKAGE_FORMAT_ERR", exitUnzip: "UNZIP_ERR",
	exitConfig: "UNMARSHAL_ERR", exitPackage: "PLUGIN_FORMAT_ERR", exitDigest: "MD5_CHECK_FAIL", exitDownload: "DOWNLOAD_FAIL",
	exitDatabaseRead: "LOAD_INSTALLEDPLUGINS_ERR", exitDatabaseWrite: "DUMP_INSTALLEDPLUGINS_ERR", exitList: "GET_ONLINE_PACKAGE_INFO_ERR",
	exitPermission: "EXECUTABLE_PERMISSION_ERR", exitNotRun: "EXECUTE_FAILED_ERR", exitTimeout: "EXECUTE_TIMEOUT_ERR",
}

// errorCode returns the word for an exit code, and after a dot what the system
// said, where the existing program passes that on.
func errorCode(code int, failed error) string {
	word, said := errorCodes[code], syscall.Errno(0)
	switch code {
	case exitNotFound, exitNotZip, exitConfig, exitPackage, exitDigest, exitTimeout:
		return word // found by a check of its own
	case exitLock:
		said = syscall.EAGAIN // by flock
	}
	if errno, ok := errors.AsType[syscall.Errno](failed); ok {
		said = errno
	}
	if said == 0 {
		return word
	}
	return word + "." + phrase(said)
}

// phrase returns the text of a system error as one word: ExecFormatError.
func phrase(e syscall.Errno) string {
	words := strings.FieldsFunc(e.Error(), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	for i, w := range words {
		words[i] = strings.ToUpper(w[:1]) + w[1:]
	}
	return strings.Join(words, "")
}
