package harness

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// BinaryVar names a gokafka program to test instead of one built from the tree.
const BinaryVar = "GOKAFKA_BINARY"

// GokafkaBinary builds the broker as users do, without cgo, and returns its path. The Go build cache makes later calls
// cheap. The program is written under a name of this process and then renamed, so that two test binaries do not run a
// half-written file.
func GokafkaBinary() (string, error) {
	if p := os.Getenv(BinaryVar); p != "" {
		return filepath.Abs(p)
	}
	src, err := SourceDir()
	if err != nil {
		return "", err
	}
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	// One name for each tree: two checkouts that are tested at once do not run each other's program.
	tree := sha256.Sum256([]byte(src))
	name := "gokafka-under-test-" + hex.EncodeToString(tree[:4])
	lock, err := os.OpenFile(filepath.Join(cache, name+".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := lockFile(lock); err != nil {
		return "", err
	}
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	out := filepath.Join(cache, name)
	cmd := exec.Command("go", "build", "-o", out+".new", "./cmd/gokafka")
	cmd.Dir = filepath.Dir(src)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if err := build(cmd); err != nil {
		return "", err
	}
	return out, os.Rename(out+".new", out)
}
