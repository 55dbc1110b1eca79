// Package record is the format of stored and transferred records: the batch of magic 2, its records, their compression
// and the checks that a leader makes on what producers send.
package record
