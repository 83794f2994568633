package plugincheck

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// goodPlugin keeps the contract. Each wrong plugin differs from it in one thing.
const goodPlugin = `#!/bin/sh
cd "$PLUGIN_DIR" || exit 1
alive() { pid=$(cat pid 2>/dev/null) && kill -0 "$pid" 2>/dev/null; }
case $1 in
--status) alive ;;
--start)
	exec 9>lock
	flock 9
	alive && exit 0
	[ -f /proc/self/fd/1 ] || exec >/dev/null 2>&1
	rm -f pid
	setsid "$0" run </dev/null 9>&- &
	until [ -s pid ]; do sleep 0.02; done ;;
run)
	echo $$ >pid.new && mv pid.new pid
	while :; do
		date +%s >beat && mv beat heartbeat
		sleep 0.2
	done ;;
--stop)
	if alive; then
		kill -- "-$pid"
		while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
		rm -f pid
	fi ;;
--restart) "$0" --stop && "$0" --start ;;
--install) ;;
--upgrade) ;;
--uninstall) ;;
*) exit 2 ;;
esac
`

const goodConfig = `{"name": "zoo", "version": "1.0", "runPath": "zoo.sh", "timeout": "20", "pluginType": "Persist", "heartbeatInterval": 1}`

func TestGoodPlugin(t *testing.T) {
	t.Parallel()
	mustPass(t, check(t, writeFolder(t, map[string]string{"zoo.sh": goodPlugin, "config.json": goodConfig})))
}

func mustPass(t *testing.T, r Report) {
	t.Helper()
	for _, result := range r.Rules {
		if result.Outcome == Failed {
			t.Errorf("%s: %+v", result.Rule, result)
		}
	}
	if !r.Passed || len(r.Rules) != len(Rules()) {
		t.Errorf("passed is %v with %d rules", r.Passed, len(r.Rules))
	}
}

// wrongPlugin is a plugin that breaks the contract in one way.
type wrongPlugin struct {
	name     string
	old, new string // in goodPlugin, everywhere; then more, old and new in turn
	more     []string
	config   string // likewise in goodConfig, OLD => NEW
	findings []finding
	also     string // a rule that may fail too: that depends on which process is faster
}

// finding is the result of a rule that fails. got and remedy are parts of the texts.
type finding struct{ rule, got, remedy string }

func zoo() []wrongPlugin {
	one := func(rule, got, remedy string) []finding { return []finding{{rule, got, remedy}} }
	return []wrongPlugin{
		{name: "starts in the foreground", config: `"20" => "2"`, old: `setsid "$0" run </dev/null 9>&- &`, new: `"$0" run`, findings: one("start",
			"it runs in the foreground", "start the program in the background, in a session of its own (setsid), or let `supervisor plugin wrap`")},
		{name: "returns before its pid file exists", also: "starter-death", old: "	until [ -s pid ]; do sleep 0.02; done ;;\nrun)\n", new: "	;;\nrun)\n	sleep 0.4\n", findings: one("status-after",
			"--start returned before the plugin ran", "return when the daemon is ready and has recorded itself")},
		{name: "keeps the starter's pipe open", old: `[ -f /proc/self/fd/1 ] || exec >/dev/null 2>&1`, new: ":", findings: one("inherited-files",
			"run) keeps the pipe of its starter open", "redirect the daemon's output when it is no regular file")},
		{name: "CRLF shebang", old: "\n", new: "\r\n", findings: one("package",
			"zoo.sh: its first line ends in CR LF", "correct what it names")},
		{name: "missing interpreter", old: "#!/bin/sh", new: "#!/opt/none/bin/ksh", findings: one("interpreter",
			"zoo.sh is run by /opt/none/bin/ksh, which does not exist here", "install /opt/none/bin/ksh on each host")},
		{name: "missing program of env", old: "#!/bin/sh", new: "#!/usr/bin/env -S no-such-shell -e", findings: one("interpreter",
			"zoo.sh is run by no-such-shell, which does not exist here", "begin zoo.sh with an interpreter that each host has")},
		{name: "no shebang", old: "#!/bin/sh", new: "", findings: one("install",
			"--install: ", "begin a script with #!/bin/sh")},
		{name: "--status always 0", old: "--status) alive", new: "--status) true", findings: one("status-before",
			"--status exits 0", "let --status exit 0 only when the process that --start recorded is alive")},
		{name: "--status hangs", config: `"20" => "2"`, old: "--status) alive", new: "--status) sleep 1000", findings: one("status-before",
			"--status hangs: no answer in 2s", "check the process and exit at once")},
		{name: "stale pid file after kill -9", old: ` && kill -0 "$pid" 2>/dev/null; }`, new: "; }", findings: []finding{
			{"status-killed", "believes a stale pid file", "check that the recorded process is alive, by pid and start time"},
			{"start-killed", "--status exits 0, and no process runs", "check that the process of the pid file is alive"},
		}},
		{name: "second --start makes a second daemon", old: "	alive && exit 0\n", new: "", findings: one("start-twice",
			"it started a second daemon: process ", "exit 0 at once when the daemon runs; hold a lock")},
		{name: "second --start fails", old: "alive && exit 0", new: "alive && exit 7", findings: one("start-twice",
			"--start: exit 7", "exit 0 when the daemon runs already")},
		{name: "--stop leaves a child", old: "run)\n", new: "run)\n	setsid sleep 1234 &\n", findings: one("stop",
			"(sleep 1234) still runs 3s later", "signal its process group")},
		{name: "--stop hangs", config: `"20" => "2"`, old: "--stop)\n", new: "--stop)\n	sleep 1000\n", findings: []finding{
			{"stop", "--stop hangs", "send TERM, wait some seconds, then send KILL"},
		}},
		{name: "never beats", old: "date +%s >beat && mv beat heartbeat", new: ":", findings: one("heartbeat",
			"there is no file heartbeat in PLUGIN_DIR 6s after the start", "or remove heartbeatInterval from config.json")},
		{name: "beats once", old: "date +%s >beat && mv beat heartbeat", new: "[ -e heartbeat ] || date +%s >heartbeat", findings: one("heartbeat",
			"no second heartbeat within 6s", "at least that often")},
		{name: "beats with an old date", old: "date +%s >beat", new: "echo 1000000000 >beat", findings: one("heartbeat",
			"the date in the file heartbeat is 2001-09-09T01:46:40Z", "write the time of the heartbeat")},
		{name: "beats with no date", old: "date +%s >beat", new: "date >beat", findings: one("heartbeat",
			"the file heartbeat holds no date", "date +%s")},
		{name: "stays in the session of its starter", old: `setsid "$0" run </dev/null`, new: `"$0" run </dev/null`, more: []string{`kill -- "-$pid"`, `kill "$pid"`}, findings: one("daemonize",
			"(/bin/sh zoo.sh run) is in the session of its starter", "setsid ./program")},
		{name: "watches its starter", old: `setsid "$0" run`, new: `STARTER=$PPID setsid "$0" run`, more: []string{"	while :; do\n", "	while kill -0 $STARTER; do\n", `--stop && "$0"`, `--stop && exec "$0"`}, findings: one("starter-death",
			"it does not run", "let it not watch its parent")},
		{name: "writes a log of its own", old: "run)\n", new: "run)\n	exec >>own.log\n", findings: one("log",
			"goes to $PLUGIN_DIR/own.log, which nothing bounds", "keep the output that --start was given")},
		{name: "writes the log without append", old: "run)\n", new: "run)\n	exec 1<>/proc/self/fd/1\n", findings: one("log",
			"writes the log without O_APPEND", "do not open it again")},
		{name: "--start fails", old: "	exec 9>lock", new: "	echo no port free\n	exit 3", findings: one("start",
			"--start: exit 3; it printed last: no port free", "run it by hand: PLUGIN_DIR=$PWD ./zoo.sh --start")},
		{name: "daemon exits at once", also: "status-after", old: "	while :; do\n", new: "	sleep 0.3\n	echo no such table\n	exit 5\n	while :; do\n", findings: []finding{
			{"daemonize", "it printed last: no such table", "find out why it exits"},
		}},
		{name: "daemon loses its environment", old: `setsid "$0" run`, new: `setsid env -i PATH="$PATH" sh -c 'cd "$1" && echo $$ >pid && sleep 1235 && :' sh "$PLUGIN_DIR"`, findings: []finding{
			{"daemonize", "none runs", "keep PLUGIN_DIR in its environment"},
		}},
		{name: "--restart does nothing", old: `"$0" --stop && "$0" --start ;;`, new: ";;", findings: one("restart",
			"runs as before", "let --restart do --stop, then --start")},
		{name: "--restart fails", old: `"$0" --stop && "$0" --start ;;`, new: "exit 9 ;;", findings: one("restart",
			"--restart: exit 9", "let --restart do --stop, then --start")},
		{name: "--install fails", old: "--install) ;;", new: "--install) exit 4 ;;", findings: one("install",
			"--install: exit 4", "exit 0 in --install")},
		{name: "--upgrade fails", old: "--upgrade) ;;", new: "--upgrade) exit 6 ;;", findings: one("upgrade",
			"--upgrade to 1.0-check: exit 6", "exit 0; the old version was stopped before")},
		{name: "--uninstall fails", old: "--uninstall) ;;", new: "--uninstall) exit 8 ;;", findings: one("uninstall",
			"--uninstall: exit 8", "exit 0 in --uninstall")},
		{name: "of type Once with a daemon", config: `"Persist" => "Once"`, findings: one("daemonize",
			"run) runs after --start", "set pluginType to Persist")},
		{name: "for another machine", config: `"20" => "20", "arch": "riscv64"`, findings: one("package",
			`arch "riscv64" is none of`, "correct what it names")},
		{name: "no config.json", config: goodConfig + " => ", findings: one("package", "config.json", "correct what it names")},
	}
}

// AP-11: each wrong plugin has a finding of its own, which says what happened and
// what to do, and nothing of it is left.
func TestZoo(t *testing.T) {
	for _, wrong := range zoo() {
		t.Run(wrong.name, func(t *testing.T) {
			t.Parallel()
			text, config := strings.NewReplacer(append(wrong.more, "#!", "#!")...).Replace(goodPlugin), goodConfig
			if wrong.old != "" {
				text = strings.ReplaceAll(text, wrong.old, wrong.new)
			}
			if old, changed, ok := strings.Cut(wrong.config, " => "); ok {
				config = strings.ReplaceAll(config, old, changed)
			}
			if text == goodPlugin && config == goodConfig {
				t.Fatal("it is the good plugin")
			}
			report := check(t, writeFolder(t, map[string]string{"zoo.sh": text, "config.json": config}))
			var failed []string
			for _, r := range report.Rules {
				if r.Outcome != Failed || r.Rule == wrong.also {
					continue
				}
				failed = append(failed, r.Rule)
				t.Logf("%s: expected %s; got %s; to do: %s", r.Rule, r.Expected, r.Got, r.Remedy)
				i := slices.IndexFunc(wrong.findings, func(f finding) bool { return f.rule == r.Rule })
				if i < 0 {
					continue
				}
				if f := wrong.findings[i]; !strings.Contains(r.Got, f.got) || !strings.Contains(r.Remedy, f.remedy) || r.Expected == "" {
					t.Errorf("%s: want %q in what it got and %q in what to do", r.Rule, f.got, f.remedy)
				}
			}
			var want []string
			for _, f := range wrong.findings {
				want = append(want, f.rule)
			}
			if diff := cmp.Diff(want, failed); diff != "" || report.Passed {
				t.Errorf("failed rules (-want +got):\n%s", diff)
			}
		})
	}
}

// Each wrong plugin of the issue has a name that no other one has.
func TestZooNames(t *testing.T) {
	seen := map[string]bool{}
	for _, wrong := range zoo() {
		words := fmt.Sprint(wrong.findings)
		if seen[wrong.name] || seen[words] {
			t.Errorf("%s is there twice, or has the words of another", wrong.name)
		}
		seen[wrong.name], seen[words] = true, true
	}
}
