// Package crash kills a broker by SIGKILL again and again, at random moments of its start and of its load, and checks
// that what it gave away stays given: acknowledged records exactly once and in order, topic ids unchanged and unique,
// producer ids and broker epochs never again and never lower.
//
// Central type: Torture. Its producers write raw batches as an idempotent client does: in order, several in flight, and
// after a lost connection the same batches again. Goroutines: one a producer; Run waits for all.
package crash
