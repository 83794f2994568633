// Command supervisor keeps the plugins of a host running and tells a control
// plane about them. `supervisor demo` shows how.
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(int(execute(context.Background(), os.Args[1:], os.Stdout, os.Stderr)))
}
