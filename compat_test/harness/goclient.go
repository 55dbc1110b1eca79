package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// GoClient builds one client program of the goclients module and returns its path. The Go command fetches the pinned
// modules on the first build, by goclients/go.sum; a failure of that is Unavailable.
func GoClient(name string) (string, error) {
	src, err := SourceDir()
	if err != nil {
		return "", err
	}
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(src, "goclients")
	download := exec.Command("go", "mod", "download")
	download.Dir = dir
	if out, err := download.CombinedOutput(); err != nil {
		return "", &Unavailable{What: "the Go module proxy: " + lastLines(string(out), 2), Err: err}
	}
	bin := filepath.Join(cache, "goclients", name)
	if runtime.GOOS == "windows" {
		bin += ".exe"
	}
	if err := os.MkdirAll(filepath.Dir(bin), 0o755); err != nil {
		return "", err
	}
	part := fmt.Sprintf("%s.%d", bin, os.Getpid())
	cmd := exec.Command("go", "build", "-o", part, "./"+name)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if err := build(cmd); err != nil {
		return "", err
	}
	return bin, os.Rename(part, bin)
}
