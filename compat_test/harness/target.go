package harness

import (
	"fmt"
	"os"
)

// Target says which broker program is under test.
type Target string

// The targets.
const (
	Gokafka Target = "gokafka"
	Apache  Target = "apache"
)

// TargetVar is the environment variable that chooses the target.
const TargetVar = "GOKAFKA_COMPAT_TARGET"

// TargetFromEnv reads TargetVar; empty means Gokafka.
func TargetFromEnv() (Target, error) {
	name := os.Getenv(TargetVar)
	if name == "" {
		return Gokafka, nil
	}
	t, err := ParseTarget(name)
	if err != nil {
		return "", fmt.Errorf("%s: %w", TargetVar, err)
	}
	return t, nil
}

// ParseTarget is the target of a name.
func ParseTarget(name string) (Target, error) {
	switch t := Target(name); t {
	case Gokafka, Apache:
		return t, nil
	}
	return "", fmt.Errorf("%q: want %s or %s", name, Gokafka, Apache)
}
