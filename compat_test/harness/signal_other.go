//go:build !unix

package harness

import (
	"errors"
	"os/exec"
)

func ownGroup(*exec.Cmd) {}

// killGroup ends the process; an error means that it has ended already.
func killGroup(cmd *exec.Cmd) { _ = cmd.Process.Kill() }

func terminate(cmd *exec.Cmd) error { return cmd.Process.Kill() }

func pause(*exec.Cmd) error { return errors.ErrUnsupported }

func resume(*exec.Cmd) error { return errors.ErrUnsupported }
