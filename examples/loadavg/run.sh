#!/bin/sh
# loadavg is the sample of a plugin written in shell: a daemon that prints the load
# average of the host to its log each 10 seconds, or each N seconds if the file
# `every` in its folder contains N.
. "${0%/*}/plugin.sh"

plugin_daemon() {
	while read -r load </proc/loadavg; do
		echo "load average: $load"
		sleep "$(cat every 2>/dev/null || echo 10)"
	done
	exit 1
}

plugin_main "$@"
