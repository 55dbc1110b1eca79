//go:build !linux

package harness

import "errors"

// CPUSeconds is known on Linux only.
func (p *Process) CPUSeconds() (float64, error) { return 0, errors.ErrUnsupported }

// ResidentBytes is known on Linux only.
func (p *Process) ResidentBytes() (float64, error) { return 0, errors.ErrUnsupported }

// PeakBytes is known on Linux only.
func (p *Process) PeakBytes() (float64, error) { return 0, errors.ErrUnsupported }
