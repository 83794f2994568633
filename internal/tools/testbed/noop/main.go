// Command noop is a plugin that exits with 0 at once for every verb. The time of
// a scan of such plugins is the time to start their programs.
package main

func main() {}
