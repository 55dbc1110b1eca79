package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Unavailable says that something the machine does not have, or a registry that does not answer, keeps a test from
// running. It is the only reason to skip.
type Unavailable struct {
	What string // the runtime or registry
	Err  error
}

func (u *Unavailable) Error() string { return fmt.Sprintf("%s: %v", u.What, u.Err) }

func (u *Unavailable) Unwrap() error { return u.Err }

// CacheDir is where fetched clients live: GOKAFKA_CACHE, or gokafka below the user's cache directory.
func CacheDir() (string, error) {
	if d := os.Getenv("GOKAFKA_CACHE"); d != "" {
		return filepath.Abs(d)
	}
	d, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no GOKAFKA_CACHE and no user cache: %w", err)
	}
	return filepath.Join(d, "gokafka"), nil
}

// runtimePath finds a program that the machine must provide.
func runtimePath(name string) (string, error) {
	p, err := exec.LookPath(name)
	if err != nil {
		return "", &Unavailable{What: "no " + name + " on this machine", Err: err}
	}
	return p, nil
}

// cached makes sure that the cache holds name, which make fills, and returns its path. A marker file, written last, tells
// a whole entry from an interrupted one; a lock keeps two test binaries from filling the same entry.
func cached(name string, fill func(dir string) error) (string, error) {
	root, err := CacheDir()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		return "", err
	}
	dir := filepath.Join(root, name)
	marker := filepath.Join(dir, ".complete")
	if _, err := os.Stat(marker); err == nil {
		return dir, nil
	}
	lock, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := lockFile(lock); err != nil {
		return "", fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	if _, err := os.Stat(marker); err == nil {
		return dir, nil // another process filled it while we waited
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if err := fill(dir); err != nil {
		return "", err
	}
	return dir, os.WriteFile(marker, nil, 0o644)
}

// fetch runs a registry's client up to three times. What still fails then is Unavailable: this cannot tell a registry
// that is down from a pinned version that is gone, so the message carries the client's own words.
func fetch(registry string, command func(context.Context) *exec.Cmd) error {
	const tries = 3
	var last error
	for try := range tries {
		if try > 0 {
			time.Sleep(time.Duration(try) * 2 * time.Second)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		cmd := command(ctx)
		out, err := cmd.CombinedOutput()
		cancel()
		if err == nil {
			return nil
		}
		last = fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, lastLines(string(out), 5))
	}
	return &Unavailable{What: fmt.Sprintf("%s does not answer after %d tries", registry, tries), Err: last}
}

// build runs a local build step; unlike fetch its failure is a failure.
func build(cmd *exec.Cmd) error {
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return nil
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], " | ")
}

// SourceDir is the compat_test directory of the tree, found from the working directory upwards: tests run in their
// package's directory, commands in the tree's root or below.
func SourceDir() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if b, err := os.ReadFile(filepath.Join(dir, "go.mod")); err == nil && strings.HasPrefix(string(b), "module gokafka\n") {
			return filepath.Join(dir, "compat_test"), nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("not inside the gokafka tree: no go.mod of module gokafka above the working directory")
		}
		dir = up
	}
}
