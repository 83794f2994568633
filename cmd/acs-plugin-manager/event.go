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

// resultError returns the result of a plugin's command as an error with an exit code
// (CL-02, CL-05, CL-06).
func resultError(p plugin.Plugin, r process.Result) error {
	switch {
	case r.Err == nil:
		return nil
	case r.TimedOut:
		return failWith(exitTimeout, "run %s: %w", p.Name, r.Err)
	case (errors.Is(r.Err, fs.ErrNotExist) || errors.Is(r.Err, syscall.EISDIR)) && !r.Started:
		return failWith(exitPackage, "run %s: executable does not exist: %w", p.Name, r.Err)
	case !r.Started || r.Cancelled:
		return failWith(exitNotRun, "run %s: %w", p.Name, r.Err)
	case r.Signal != 0:
		return failWith(exitSignal, "run %s: %w", p.Name, r.Err)
	}
	return &exitError{code: r.ExitCode}
}

// sendTimeout is the timeout of one report or event.
const sendTimeout = 5 * time.Second

// sendEvent sends the event of an execution in the form of the existing program
// (CL-02, CL-21).
func (m *manager) sendEvent(ctx context.Context, what execution, failed error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendTimeout)
	defer cancel()
	p := what.plugin
	code, own := exitCode(failed)
	word := ""
	switch {
	case !own:
		word = errorCode(code, failed)
	case code == exitSignal && !isPluginExit(failed):
		code = -1 // as in os/exec
	}
	err := m.plane.Send(ctx, plugin.Event{ID: plugin.EventExecute, At: time.Now(), Keywords: map[string]string{
		"pluginName": p.Name, "pluginVersion": p.Version, "pluginType": what.kind, "resource": what.resource,
		"exitCode": fmt.Sprint(code), "errorCode": word, "localArch": platform.LocalArch(), "localOsType": platform.LocalOS(),
	}})
	if err != nil {
		m.printLine("%v", err)
	}
}

// errorCodes maps exit codes of this program to error codes of events.
var errorCodes = map[int]string{
	exitLock: "LOCKING_ERR", exitNotFound: "PACKAGE_NOT_FOUND", exitNotZip: "PACKAGE_FORMAT_ERR", exitUnzip: "UNZIP_ERR",
	exitConfig: "UNMARSHAL_ERR", exitPackage: "PLUGIN_FORMAT_ERR", exitDigest: "MD5_CHECK_FAIL", exitDownload: "DOWNLOAD_FAIL",
	exitDatabaseRead: "LOAD_INSTALLEDPLUGINS_ERR", exitDatabaseWrite: "DUMP_INSTALLEDPLUGINS_ERR", exitList: "GET_ONLINE_PACKAGE_INFO_ERR",
	exitPermission: "EXECUTABLE_PERMISSION_ERR", exitNotRun: "EXECUTE_FAILED_ERR", exitTimeout: "EXECUTE_TIMEOUT_ERR",
}

// errorCode returns the error code of an event, with the text of the system error
// after a dot where the existing program adds it.
func errorCode(code int, failed error) string {
	word, cause := errorCodes[code], syscall.Errno(0)
	switch code {
	case exitNotFound, exitNotZip, exitConfig, exitPackage, exitDigest, exitTimeout:
		return word // never a system error
	case exitLock:
		cause = syscall.EAGAIN // by flock
	}
	if errno, ok := errors.AsType[syscall.Errno](failed); ok {
		cause = errno
	}
	if cause == 0 {
		return word
	}
	return word + "." + joinWords(cause)
}

// joinWords returns the text of a system error as one word, such as ExecFormatError.
func joinWords(e syscall.Errno) string {
	words := strings.FieldsFunc(e.Error(), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	for i, w := range words {
		words[i] = strings.ToUpper(w[:1]) + w[1:]
	}
	return strings.Join(words, "")
}
