// Package kgosuite pins the franz-go release whose own tests the suite runs from the module cache; see
// ../franzgo_test.go. It has no code of its own.
package kgosuite

import _ "github.com/twmb/franz-go/pkg/kgo" // keeps the requirement in go.mod
