// Controlplane is the reference control plane: the server that plugin
// supervisors report to, with a page for operators, and commands for a running
// server.
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}
