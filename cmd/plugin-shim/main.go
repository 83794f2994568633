// Command plugin-shim speaks the plugin contract for a program that does not
// (SPEC 16): the service.yaml beside it says how the program is run.
package main

import (
	"os"

	"pluginsupervisor/internal/shim"
)

func main() { os.Exit(shim.Main(os.Args[1:], os.Stdout, os.Stderr)) }
