// Command supervisor keeps the plugins of a host running and reports their state to
// a control plane. `supervisor demo` shows it at work.
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(int(execute(context.Background(), os.Args[1:], os.Stdout, os.Stderr)))
}
