// Package clusterview shows a person a running cluster: its brokers, its partitions, its controller and what that decided.
//
// It asks over the wire, as any client does, so it works for gokafka and for Apache's brokers; only the controller's journal
// comes from the HTTP port, whose answers api.go defines. A Read function makes a view, Print writes it as a table or as JSON.
// Views are sorted. Whatever comes from outside is printed without control characters. The package starts no goroutine of its
// own; the client's end before a Read function returns.
package clusterview
