// Package admin is what the commands of a person who runs a cluster do: topics, elections, reassignments, log directories.
//
// It asks over the wire, as any client does, so it works for gokafka and for Apache's brokers. Each function does one thing and returns
// a show.View of what came of it, topic by topic or partition by partition; Outcome tells a command whether all of it succeeded.
// Views are sorted. The goroutines of the client end before a function returns.
package admin
