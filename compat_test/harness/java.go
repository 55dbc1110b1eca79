package harness

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// ApacheVersion is the pinned Apache Kafka release, as in java/pom.xml.
const ApacheVersion = "3.9.1"

// JavaLibs fetches the pinned jars by Maven and returns the class path that holds them all.
func JavaLibs() (string, error) {
	if _, err := runtimePath("java"); err != nil {
		return "", err
	}
	dir, err := cached("java-"+ApacheVersion, func(dir string) error {
		mvn, err := runtimePath("mvn")
		if err != nil {
			return err
		}
		src, err := SourceDir()
		if err != nil {
			return err
		}
		return fetch("Maven Central", func(ctx context.Context) *exec.Cmd {
			return exec.CommandContext(ctx, mvn, "-q", "-B", "-f", filepath.Join(src, "java", "pom.xml"),
				"dependency:copy-dependencies", "-DoutputDirectory="+dir)
		})
	})
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "*"), nil
}

// JavaClasses compiles one source file of java/ against the pinned jars and returns the class path to run it with.
func JavaClasses(file string) (string, error) {
	libs, err := JavaLibs()
	if err != nil {
		return "", err
	}
	javac, err := runtimePath("javac")
	if err != nil {
		return "", err
	}
	src, err := SourceDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(src, "java", file)
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	dir, err := cached(fmt.Sprintf("java-classes-%s-%s", ApacheVersion, hex.EncodeToString(sum[:6])), func(dir string) error {
		return build(exec.Command(javac, "-nowarn", "-cp", libs, "-d", dir, path))
	})
	if err != nil {
		return "", err
	}
	return dir + string(os.PathListSeparator) + libs, nil
}
