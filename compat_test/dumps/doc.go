// Package dumps has what gokafka dump-log and Apache's kafka.tools.DumpLogSegments are compared on: a corpus of files in every state,
// the runs over them, and a way to let Apache's tool make those runs in one JVM.
//
// Write makes the corpus, Apache the outcomes; Format and Parse are their form in dumplog/testdata/apache.txt.zst, which
//
//	go test ./compat_test/dumps -run TestRecord -record
//
// records anew.
package dumps
