package harness

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
)

// KafkaJSVersion is the pinned kafkajs, as in node/package.json.
const KafkaJSVersion = "2.2.4"

// NodeModules is the node_modules folder with kafkajs and its codecs.
func NodeModules() (string, error) {
	if _, err := runtimePath("node"); err != nil {
		return "", err
	}
	dir, err := cached("node-kafkajs-"+KafkaJSVersion, func(dir string) error {
		npm, err := runtimePath("npm")
		if err != nil {
			return err
		}
		src, err := SourceDir()
		if err != nil {
			return err
		}
		b, err := os.ReadFile(filepath.Join(src, "node", "package.json"))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "package.json"), b, 0o644); err != nil {
			return err
		}
		return fetch("the npm registry", func(ctx context.Context) *exec.Cmd {
			cmd := exec.CommandContext(ctx, npm, "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts")
			cmd.Dir = dir
			return cmd
		})
	})
	return filepath.Join(dir, "node_modules"), err
}
