// Command once is the sample of a Once plugin: it does its work when it is started and
// leaves no process.
package main

import (
	"context"
	"fmt"
	"path/filepath"

	"pluginsupervisor/pluginkit"
)

func main() { pluginkit.Main(pluginkit.Plugin{Once: runOnce}) }

func runOnce(_ context.Context, dir string) error {
	fmt.Printf("once %s did its work\n", filepath.Base(dir))
	return nil
}
