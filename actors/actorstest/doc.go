// Package actorstest helps to test actors in virtual time, without processes,
// files and network.
//
//   - Run runs a test with an actor system in virtual time ([testing/synctest]) and
//     fails it for all that is left behind; Advance lets the time pass.
//   - Probe is a mock actor: it records messages and may answer them. Expect returns
//     the one message of a type; Spawn starts an actor as the child of a Probe.
//   - World is a host with plugins, a control plane and a state file in memory: the
//     fake of every port of package actors.
//
// ExampleStart of package actors is a whole test. The package imports no other
// package of this module but plugin, so that programs which embed the actors can
// use it too.
package actorstest
