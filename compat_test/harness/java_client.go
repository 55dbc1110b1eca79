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

// JavaClient fetches the Java client of another release and compiles one source file of java/ against it. What the client needs besides comes from
// the pinned jars, behind it on the class path.
func JavaClient(version, file string) (classPath string, err error) {
	libs, err := JavaLibs()
	if err != nil {
		return "", err
	}
	dir, err := cached("java-clients-"+version, func(dir string) error {
		mvn, err := runtimePath("mvn")
		if err != nil {
			return err
		}
		return fetch("Maven Central", func(ctx context.Context) *exec.Cmd {
			return exec.CommandContext(ctx, mvn, "-q", "-B", "dependency:copy",
				"-Dartifact=org.apache.kafka:kafka-clients:"+version, "-DoutputDirectory="+dir)
		})
	})
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
	sep := string(os.PathListSeparator)
	client := filepath.Join(dir, fmt.Sprintf("kafka-clients-%s.jar", version))
	sum := sha256.Sum256(text)
	classes, err := cached(fmt.Sprintf("java-classes-%s-%s", version, hex.EncodeToString(sum[:6])), func(dir string) error {
		return build(exec.Command(javac, "-nowarn", "-cp", client+sep+libs, "-d", dir, path))
	})
	return classes + sep + client + sep + libs, err
}
