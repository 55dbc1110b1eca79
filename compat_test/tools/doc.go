// Package tools drives Apache's own tools through their verbs, errors included, and compares what they print about gokafka with what they printed about
// Apache 3.9.1.
//
// Central type: JVM, which runs many tools in one process. The script is in script.go, what is made equal before the comparison in normal.go. Goldens
// come from Apache: GOKAFKA_COMPAT_TARGET=apache go test ./compat_test/tools -update.
package tools
