package plugincheck

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/plugin"
)

// checkLog checks where the output of the daemon goes. The log that --start was
// given is bounded while the daemon writes it (AP-07), which works for a file that
// is open for append only. A file of the plugin's own grows for ever.
func checkLog(ctx context.Context, s *subject) (verdict, error) {
	if failed, err := s.ensureRunning(ctx); failed != nil || err != nil {
		return orFailed(failed, err)
	}
	const remedy = "let the daemon keep the output that --start was given when that is a regular file, and do not open it again"
	log := layout.Log(s.root, s.plugin.Name)
	for _, p := range s.processes(ctx) {
		for _, fd := range []int{1, 2} {
			path, flags, isFile := openFile(p, fd)
			switch {
			case !isFile:
			case path == log && flags&unix.O_APPEND == 0:
				return fail("output is appended to the log", s.describe(p)+" writes the log without O_APPEND, so that it cannot be bounded", remedy)
			case path != log:
				return fail("output goes to the log that --start was given, or to /dev/null", fmt.Sprintf("the output of %s goes to %s, which nothing bounds", s.describe(p), s.short(path)), remedy)
			}
		}
	}
	return pass()
}

// openFile returns the regular file that a process has open for writing as a
// descriptor, and its flags.
func openFile(p plugin.Process, fd int) (path string, flags int64, isFile bool) {
	link := fmt.Sprintf("/proc/%d/fd/%d", p.PID, fd)
	info, err := os.Stat(link)
	if err != nil || !info.Mode().IsRegular() {
		return "", 0, false
	}
	if path, err = os.Readlink(link); err != nil {
		return "", 0, false
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%d", p.PID, fd))
	if err != nil {
		return "", 0, false
	}
	for line := range strings.SplitSeq(string(b), "\n") {
		if text, ok := strings.CutPrefix(line, "flags:"); ok {
			flags, err = strconv.ParseInt(strings.TrimSpace(text), 8, 64)
		}
	}
	return path, flags, err == nil && flags&unix.O_ACCMODE != unix.O_RDONLY
}
