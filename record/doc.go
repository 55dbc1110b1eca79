// Package record is the format of stored and transferred records: the batch of magic 2, its records, their compression
// and the checks that a leader makes on what producers send.
//
// Batch is a view on the bytes of one batch; Next cuts it off a buffer, Batch.Iterate and Codecs.Iterate walk its records, a
// Builder makes one. Codecs holds the pools of one broker and has Check, which does to a Produce payload all that is done before
// the partition's lock is taken; Checked.Assign does the rest under it.
//
// The formats before it, magic 0 and 1, are read (NextAny, Codecs.IterateLegacy, or IterateAny for all), converted to magic 2 for
// Produce 0 to 2 (Codecs.CheckLegacy, which gives a Checked too) and converted to for Fetch 0 to 3, while they are
// read (DownConverter). A LegacyBuilder makes them.
//
// Invariants: a function that takes bytes from outside returns an error for any of them and never panics; memory grows with bytes
// that are there, never with a length that is declared; what a batch decompresses to is bounded by the caller or streamed through a
// window of 64 KiB. The package starts no goroutine and has no lock but those of its pools.
package record
