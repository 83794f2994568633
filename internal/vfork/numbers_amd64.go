package vfork

// Numbers of system calls.
const (
	sysRead        = 0
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
	sysSetuid      = 105
	sysSetgid      = 106
	sysSetpgid     = 109
	sysSetsid      = 112
	sysSetgroups   = 116
	sysSetpriority = 141
	sysOpenat      = 257
	sysDup3        = 292
	sysPrlimit     = 302
)
