//go:build !linux

package main

import "errors"

func cpuSeconds(int) (float64, error) { return 0, errors.ErrUnsupported }

func residentBytes(int) (float64, error) { return 0, errors.ErrUnsupported }

func peakBytes(int) (float64, error) { return 0, errors.ErrUnsupported }
