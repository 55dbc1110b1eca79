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

// JavaStreams fetches what a Kafka Streams program needs and compiles one source file of java/streams against it; it returns the class path.
func JavaStreams(file string) (string, error) {
	mvn, err := runtimePath("mvn")
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
	dir := filepath.Join(src, "java", "streams")
	libs, err := cached("java-streams-"+ApacheVersion, func(to string) error {
		return fetch("Maven Central", func(ctx context.Context) *exec.Cmd {
			return exec.CommandContext(ctx, mvn, "-q", "-B", "-f", filepath.Join(dir, "pom.xml"), "dependency:copy-dependencies", "-DoutputDirectory="+to)
		})
	})
	if err != nil {
		return "", err
	}
	libs = filepath.Join(libs, "*")
	text, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	classes, err := cached(fmt.Sprintf("java-streams-classes-%s-%s", ApacheVersion, hex.EncodeToString(sum[:6])), func(to string) error {
		return build(exec.Command(javac, "-nowarn", "-cp", libs, "-d", to, filepath.Join(dir, file)))
	})
	return classes + string(os.PathListSeparator) + libs, err
}
