package harness

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// ticksPerSecond is USER_HZ, which Linux fixes at 100 for user space.
const ticksPerSecond = 100

// CPUSeconds is utime + stime of a process: fields 14 and 15 of its stat, counted after the name in parentheses.
func (p *Process) CPUSeconds() (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
	if err != nil {
		return 0, err
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(f) < 13 {
		return 0, fmt.Errorf("stat of %d has %d fields", p.PID(), len(f))
	}
	user, err := strconv.ParseFloat(f[11], 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseFloat(f[12], 64)
	return (user + system) / ticksPerSecond, err
}

// ResidentBytes is VmRSS of a process.
func (p *Process) ResidentBytes() (float64, error) { return statusBytes(p.PID(), "VmRSS:") }

// PeakBytes is VmHWM of a process.
func (p *Process) PeakBytes() (float64, error) { return statusBytes(p.PID(), "VmHWM:") }

func statusBytes(pid int, field string) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(string(b), field)
	if !ok {
		return 0, fmt.Errorf("status of %d has no %s", pid, field)
	}
	kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	return kb * 1024, err
}
