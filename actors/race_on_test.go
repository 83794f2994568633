//go:build race

package actors

// underRace reports that the race detector is on, which makes everything many
// times slower.
const underRace = true
