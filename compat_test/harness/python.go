package harness

import (
	"context"
	"os/exec"
	"path/filepath"
	"runtime"
)

// ConfluentKafkaVersion is the pinned confluent-kafka, which brings librdkafka; as in python/requirements.txt.
const ConfluentKafkaVersion = "2.16.1"

// Python is the interpreter of a virtual environment with confluent-kafka.
func Python() (string, error) {
	dir, err := cached("python-confluent-kafka-"+ConfluentKafkaVersion, func(dir string) error {
		py, err := runtimePath("python3")
		if err != nil {
			return err
		}
		if out, err := exec.Command(py, "-m", "venv", dir).CombinedOutput(); err != nil {
			return &Unavailable{What: "python3 has no venv: " + lastLines(string(out), 2), Err: err}
		}
		src, err := SourceDir()
		if err != nil {
			return err
		}
		return fetch("PyPI", func(ctx context.Context) *exec.Cmd {
			return exec.CommandContext(ctx, venvPython(dir), "-m", "pip", "install", "-q", "--only-binary=:all:",
				"-r", filepath.Join(src, "python", "requirements.txt"))
		})
	})
	return venvPython(dir), err
}

func venvPython(dir string) string {
	if runtime.GOOS == "windows" {
		return filepath.Join(dir, "Scripts", "python.exe")
	}
	return filepath.Join(dir, "bin", "python")
}
