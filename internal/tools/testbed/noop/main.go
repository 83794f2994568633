// Command noop is the smallest plugin there is in Go: whatever it is asked, it
// succeeds at once. What a scan of many of it takes is what starting programs takes.
package main

func main() {}
