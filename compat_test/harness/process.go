package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Process is one started program that leads a process group of its own.
type Process struct {
	Name    string
	LogPath string // stderr, and stdout unless the command has its own
	cmd     *exec.Cmd
	log     *os.File
	done    chan struct{} // closed after the program has been waited for
	err     error         // its exit status; written before done is closed
}

// StartProcess starts cmd in a process group of its own, with stderr (and stdout, if unset) appended to logPath.
func StartProcess(name string, cmd *exec.Cmd, logPath string) (*Process, error) {
	if err := os.MkdirAll(filepath.Dir(logPath), 0o755); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	if cmd.Stdout == nil {
		cmd.Stdout = log
	}
	if cmd.Stderr == nil {
		cmd.Stderr = log
	}
	ownGroup(cmd)
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", name, err), log.Close())
	}
	p := &Process{Name: name, LogPath: logPath, cmd: cmd, log: log, done: make(chan struct{})}
	go p.wait()
	return p, nil
}

func (p *Process) wait() {
	err := p.cmd.Wait()
	p.err = errors.Join(err, p.log.Close())
	close(p.done)
}

// PID is the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err is the exit status; only valid after Done.
func (p *Process) Err() error { return p.err }

// Kill ends the process and its group by SIGKILL and waits for it.
func (p *Process) Kill() {
	killGroup(p.cmd)
	<-p.done
}

// Terminate asks for an orderly end (SIGTERM) and waits. When ctx ends first the group is killed and an error returned.
func (p *Process) Terminate(ctx context.Context) error {
	if err := terminate(p.cmd); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("terminate %s: %w", p.Name, err)
	}
	select {
	case <-p.done:
		killGroup(p.cmd) // children it may have left
		if p.err != nil {
			return fmt.Errorf("%s ended by SIGTERM with: %w", p.Name, p.err)
		}
		return nil
	case <-ctx.Done():
		p.Kill()
		return fmt.Errorf("%s did not end on SIGTERM: %w", p.Name, ctx.Err())
	}
}

// Pause stops the process without ending it (SIGSTOP); Resume lets it go on.
func (p *Process) Pause() error { return pause(p.cmd) }

// Resume lets a paused process go on.
func (p *Process) Resume() error { return resume(p.cmd) }

// Tail is the end of the log, at most maxBytes.
func (p *Process) Tail(maxBytes int64) string { return TailFile(p.LogPath, maxBytes) }

// TailFile is the end of a file, at most maxBytes; an unreadable file gives the reason instead.
func TailFile(path string, maxBytes int64) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil && st.Size() > maxBytes {
		if _, err := f.Seek(-maxBytes, io.SeekEnd); err != nil {
			return err.Error()
		}
	}
	b, err := io.ReadAll(io.LimitReader(f, maxBytes))
	if err != nil {
		return err.Error()
	}
	return string(bytes.ToValidUTF8(b, []byte("?")))
}

// poll calls try every 20 ms until it returns nil, the process ends, or ctx does; the last error is in the result.
func poll(ctx context.Context, p *Process, try func(context.Context) error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended before it was ready (%v); last try: %w", p.Name, p.err, err)
		case <-ctx.Done():
			return fmt.Errorf("%s not ready: %w; last try: %w", p.Name, ctx.Err(), err)
		case <-tick.C:
		}
	}
}
