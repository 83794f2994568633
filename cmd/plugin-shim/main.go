// Command plugin-shim implements the plugin contract for a program without it (SPEC 16).
// The service.yaml beside it describes how to run the program.
package main

import (
	"os"

	"pluginsupervisor/internal/shim"
)

func main() { os.Exit(shim.Main(os.Args[1:], os.Stdout, os.Stderr)) }
