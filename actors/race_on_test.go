//go:build race

package actors

// underRace reports that the race detector is on, which makes the tests much
// slower.
const underRace = true
