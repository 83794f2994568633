# shellcheck shell=sh
# plugin.sh implements the plugin contract for plugins written in shell. It is
# POSIX sh (dash, bash, busybox) and needs flock(1) and setsid(1) besides the
# standard tools. Copy it into your package and source it:
#
#	#!/bin/sh
#	. "${0%/*}/plugin.sh"
#	plugin_daemon() { exec ./my-program --port 9100; }
#	plugin_main "$@"
#
# plugin_daemon is the work of a Persist plugin. It runs in the plugin's folder,
# in a session of its own, until it is stopped by TERM. With `exec`, the
# supervisor sees the exit code of your program. Run the program in the
# foreground: many need an option for that.
#
# A Once plugin defines plugin_once instead: `--start` runs it to its end.
#
# What you may define as well, after the source line:
#
#	plugin_ready      fails until the daemon is ready; `--start` waits for it.
#	                  Without it, a daemon is ready when it has run 0.3 seconds.
#	plugin_healthy    fails when the daemon does not work: no heartbeat is
#	                  written then, and the supervisor restarts the plugin.
#	plugin_install    run by --install
#	plugin_uninstall  run by --uninstall, after the daemon was stopped; a
#	                  failure prevents the removal
#
#	PLUGIN_START_TIMEOUT=30  seconds that --start waits for plugin_ready
#	PLUGIN_STOP_TIMEOUT=5    seconds between TERM and KILL
#	PLUGIN_HEARTBEAT=1       seconds between two heartbeats; 0 writes none.
#	                         Keep it below the heartbeatInterval of config.json.
#
# PLUGIN_START_TIMEOUT and PLUGIN_STOP_TIMEOUT together must be below the
# "timeout" of config.json. The names plugin_* and PLUGIN_* belong to this file.
#
# Two starts at the same moment start one daemon (start.lock). The pid file
# daemon.pid holds the pid, the start time of the process and the boot id, so
# that neither a stale file nor a reused pid is mistaken for the daemon. Go
# plugins that use the package pluginkit have the same file.

PLUGIN_START_TIMEOUT=30
PLUGIN_STOP_TIMEOUT=5
PLUGIN_HEARTBEAT=1

# The supervisor sets PLUGIN_DIR; a call by hand means the folder of the script.
plugin_self=$0
case $plugin_self in
*/*) ;;
*) plugin_self=./$plugin_self ;;
esac
plugin_self=$(cd -- "${plugin_self%/*}" && pwd -P)/${plugin_self##*/}
: "${PLUGIN_DIR:=${plugin_self%/*}}"
export PLUGIN_DIR

plugin_ready() { plugin_default_ready=yes; }
plugin_healthy() { :; }
plugin_install() { :; }
plugin_uninstall() { :; }

# plugin_main runs the verb that the script was called with, and exits.
plugin_main() {
	plugin_verb=${1:-}
	plugin_check_settings
	case $plugin_verb in
	--status) plugin_is_once || plugin_alive "$PLUGIN_DIR" || plugin_fail "not running" ;;
	--start) plugin_start ;;
	--stop) plugin_stop "$PLUGIN_DIR" ;;
	--restart)
		plugin_stop "$PLUGIN_DIR"
		plugin_start
		;;
	--install) plugin_install || plugin_fail "plugin_install failed" ;;
	--uninstall)
		plugin_stop "$PLUGIN_DIR"
		plugin_uninstall || plugin_fail "plugin_uninstall failed"
		;;
	--upgrade)
		plugin_is_once && exit 0
		case ${PRE_PLUGIN_DIR:-} in
		'' | "$PLUGIN_DIR") ;;
		*) plugin_stop "$PRE_PLUGIN_DIR" ;;
		esac
		plugin_start
		;;
	--daemon) plugin_run_daemon ;;
	*)
		echo "usage: $0 --status | --start | --stop | --restart | --install | --uninstall | --upgrade" >&2
		exit 2
		;;
	esac
	exit 0
}

plugin_fail() {
	echo "$plugin_verb: $*" >&2
	exit 1
}

plugin_is_once() { command -v plugin_once >/dev/null; }

plugin_check_settings() {
	for plugin_value in "$PLUGIN_START_TIMEOUT" "$PLUGIN_STOP_TIMEOUT" "$PLUGIN_HEARTBEAT"; do
		case $plugin_value in
		'' | *[!0-9]* | 0?* | ??????*) plugin_fail "PLUGIN_START_TIMEOUT, PLUGIN_STOP_TIMEOUT and PLUGIN_HEARTBEAT must be whole seconds, not \"$plugin_value\"" ;;
		esac
	done
	[ -d "$PLUGIN_DIR" ] || plugin_fail "PLUGIN_DIR is no folder: $PLUGIN_DIR"
}

# plugin_pause waits 0.1 seconds, or one where sleep takes whole seconds only.
plugin_pause() { sleep 0.1 2>/dev/null || sleep 1; }

# plugin_read_stat PID sets plugin_state, plugin_group, plugin_flags and
# plugin_since of a process, and fails when there is none. The name of the
# program is in parentheses and may itself hold blanks, parentheses and line
# breaks, so fields are counted from the last one.
plugin_read_stat() {
	plugin_stat=
	[ -r "/proc/$1/stat" ] || return 1
	while IFS= read -r plugin_line || [ -n "$plugin_line" ]; do
		plugin_stat="$plugin_stat $plugin_line"
	done 2>/dev/null <"/proc/$1/stat" || return 1
	plugin_stat=${plugin_stat##*)}
	set -f
	# shellcheck disable=SC2086 # split into fields
	set -- $plugin_stat
	set +f
	[ $# -ge 20 ] || return 1
	plugin_state=$1 plugin_group=$3 plugin_flags=$7
	shift 19
	plugin_since=$1
}

# plugin_exited reports whether the process that plugin_read_stat has read is a
# zombie or is exiting (PF_EXITING).
plugin_exited() {
	case $plugin_state in
	Z | X) return 0 ;;
	esac
	[ $((plugin_flags & 4)) -ne 0 ]
}

# plugin_alive DIR reports whether the process of DIR's pid file is alive, and
# sets plugin_pid.
plugin_alive() {
	plugin_pid='' plugin_start_time='' plugin_boot='' plugin_rest=''
	[ -f "$1/daemon.pid" ] || return 1
	read -r plugin_pid plugin_start_time plugin_boot plugin_rest 2>/dev/null <"$1/daemon.pid" || return 1
	case $plugin_pid in
	'' | 0* | *[!0-9]* | ???????????*) return 1 ;;
	esac
	IFS= read -r plugin_line </proc/sys/kernel/random/boot_id || return 1
	[ "$plugin_boot" = "$plugin_line" ] && [ -z "$plugin_rest" ] || return 1
	plugin_read_stat "$plugin_pid" || return 1
	[ "$plugin_since" = "$plugin_start_time" ] && ! plugin_exited
}

# plugin_replace FILE WORDS replaces the content of a file in one step.
plugin_replace() {
	printf '%s\n' "$2" >"$1.new" && mv -f -- "$1.new" "$1"
}

# plugin_beat writes the heartbeat file. A daemon that is a shell loop may call
# it itself; PLUGIN_HEARTBEAT is 0 then.
plugin_beat() { plugin_replace "$PLUGIN_DIR/heartbeat" "$(date +%s)"; }

# plugin_start starts the daemon and returns when it is ready, or is running
# already; or it runs a Once plugin.
plugin_start() {
	if plugin_is_once; then
		cd -- "$PLUGIN_DIR" || plugin_fail "cannot enter $PLUGIN_DIR"
		plugin_once || plugin_fail "plugin_once failed with exit code $?"
		return 0
	fi
	command -v plugin_daemon >/dev/null || plugin_fail "$plugin_self defines neither plugin_daemon nor plugin_once"
	for plugin_tool in flock setsid; do
		command -v "$plugin_tool" >/dev/null || plugin_fail "the program $plugin_tool is missing"
	done
	exec 9>>"$PLUGIN_DIR/start.lock" || plugin_fail "cannot open start.lock"
	flock 9 || plugin_fail "cannot lock start.lock"
	plugin_alive "$PLUGIN_DIR" && return 0

	# Pipes break when their reader exits: the daemon gets files only.
	plugin_out=/dev/null plugin_err=/dev/null
	[ ! -f /proc/self/fd/1 ] || plugin_out=
	[ ! -f /proc/self/fd/2 ] || plugin_err=
	(
		exec </dev/null 3>&- 4>&- 5>&- 6>&- 7>&- 8>&-
		[ -z "$plugin_out" ] || exec >/dev/null
		[ -z "$plugin_err" ] || exec 2>/dev/null
		PLUGIN_STARTER=$$
		export PLUGIN_STARTER
		exec setsid "$plugin_self" --daemon
	) &
	plugin_child=$!
	plugin_wait_ready
	exec 9>&-
}

# plugin_wait_ready returns when the daemon of the starter's child is ready. It
# fails, and leaves no daemon, when that exits or is not ready in time.
plugin_wait_ready() {
	plugin_default_ready=
	plugin_waits=0 plugin_seen=0
	while :; do
		plugin_read_stat "$plugin_child" && ! plugin_exited || {
			plugin_code=0
			wait "$plugin_child" || plugin_code=$?
			plugin_kill_group "$plugin_child"
			plugin_fail "daemon exited with code $plugin_code before it was ready"
		}
		if plugin_alive "$PLUGIN_DIR" && [ "$plugin_pid" = "$plugin_child" ]; then
			if plugin_ready 9>&-; then
				[ -n "$plugin_default_ready" ] && [ "$plugin_seen" -lt 3 ] || return 0
			fi
			plugin_seen=$((plugin_seen + 1))
		fi
		plugin_waits=$((plugin_waits + 1))
		if [ "$plugin_waits" -gt $((PLUGIN_START_TIMEOUT * 10)) ]; then
			plugin_end_group "$plugin_child"
			plugin_fail "daemon was not ready within ${PLUGIN_START_TIMEOUT}s"
		fi
		plugin_pause
	done
}

# plugin_run_daemon becomes the daemon. It has inherited the lock, and closes it
# when the pid file is written: from then on others see that it is alive.
plugin_run_daemon() {
	[ "${PLUGIN_STARTER:-}" = "$PPID" ] || plugin_fail "only --start calls it"
	unset PLUGIN_STARTER
	cd -- "$PLUGIN_DIR" || plugin_fail "cannot enter $PLUGIN_DIR"
	plugin_read_stat $$ || plugin_fail "cannot read /proc/$$/stat"
	IFS= read -r plugin_boot </proc/sys/kernel/random/boot_id || plugin_fail "cannot read the boot id"
	plugin_replace daemon.pid "$$ $plugin_since $plugin_boot" || plugin_fail "cannot write daemon.pid"
	exec 9>&-
	plugin_watch &
	plugin_daemon
	exit $?
}

# plugin_watch writes heartbeats while the daemon is alive and healthy, and then
# stops what the daemon has left of its process group, so that a restart need
# not wait for it.
plugin_watch() {
	trap : TERM
	plugin_daemon_pid=$$ plugin_second=0
	IFS=' ' read -r plugin_own_pid plugin_line </proc/self/stat
	while plugin_alive "$PLUGIN_DIR" && [ "$plugin_pid" = "$plugin_daemon_pid" ]; do
		if [ "$PLUGIN_HEARTBEAT" -gt 0 ] && [ $((plugin_second % PLUGIN_HEARTBEAT)) -eq 0 ] && plugin_healthy; then
			plugin_beat
		fi
		plugin_second=$((plugin_second + 1))
		sleep 1 || :
	done
	plugin_end_group "$plugin_daemon_pid" "$plugin_own_pid"
}

# plugin_stop DIR stops the daemon of DIR with its process group, and returns
# when it has exited.
plugin_stop() {
	if plugin_alive "$1"; then
		plugin_end_group "$plugin_pid"
	fi
}

# plugin_end_group PID [EXCEPT] stops the process group that PID leads: TERM to
# all, and KILL when the time is over and others than EXCEPT are left.
plugin_end_group() {
	plugin_waits=0
	kill -TERM -"$1" 2>/dev/null || :
	while plugin_group_alive "$1" "${2:-}"; do
		plugin_waits=$((plugin_waits + 1))
		[ "$plugin_waits" -le $((PLUGIN_STOP_TIMEOUT * 10)) ] || break
		plugin_pause
	done
	plugin_kill_group "$1" "${2:-}"
}

# plugin_kill_group PID [EXCEPT] kills what is left of a process group besides
# EXCEPT, and returns when it has exited.
plugin_kill_group() {
	plugin_waits=0
	while plugin_group_alive "$1" "${2:-}"; do
		kill -KILL -"$1" 2>/dev/null || :
		plugin_waits=$((plugin_waits + 1))
		[ "$plugin_waits" -le 50 ] || plugin_fail "processes of the group $1 do not exit"
		plugin_pause
	done
}

# plugin_group_alive PID [EXCEPT] reports whether a process of the group other
# than EXCEPT is running.
plugin_group_alive() {
	kill -0 -"$1" 2>/dev/null || return 1
	for plugin_proc in /proc/[0-9]*; do
		plugin_proc=${plugin_proc#/proc/}
		[ "$plugin_proc" != "${2:-}" ] && plugin_read_stat "$plugin_proc" || continue
		[ "$plugin_group" != "$1" ] || plugin_exited || return 0
	done
	return 1
}
