package vfork

// Numbers of system calls.
const (
	sysWrite       = 1
	sysClose       = 3
	sysSigaction   = 13
	sysSigprocmask = 14
	sysIoctl       = 16
	sysClone       = 56
	sysExecve      = 59
	sysExit        = 60
	sysChdir       = 80
	sysUmask       = 95
	sysSetpgid     = 109
	sysSetpriority = 141
	sysOpenat      = 257
	sysDup3        = 292
	sysPrlimit     = 302
)
