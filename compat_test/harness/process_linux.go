package harness

import (
	"os/exec"
	"syscall"
)

// ownGroup makes cmd the leader of a process group and asks the kernel to kill it when the test binary dies, which also
// covers a `go test` timeout, where no cleanup runs.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
