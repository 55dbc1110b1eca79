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
	switch t := Target(os.Getenv(TargetVar)); t {
	case "", Gokafka:
		return Gokafka, nil
	case Apache:
		return Apache, nil
	default:
		return "", fmt.Errorf("%s=%s: want %s or %s", TargetVar, t, Gokafka, Apache)
	}
}
