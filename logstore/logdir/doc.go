// Package logdir manages the log directories of a broker: the lock and identity of each, the logs in it, their checkpoints and their
// periodic work.
//
// The central type is Manager. Its life: Prepare locks the directories and reads who they belong to; Load loads the logs, recovering
// them where the last shutdown was not clean; Start begins the periodic work; Close shuts down cleanly.
//
// Invariants: a partition has at most one log; the clean shutdown marker is there only while no log is open; a
// directory that failed is never written again.
//
// Locks: Manager.mu guards the maps and is held for moments; dir.checkpointMu orders the writers of a directory's checkpoint files and is held
// over their syncs, nothing else waits for it; epochMu likewise for the leader epochs of many logs. None is held while a log is called, except
// checkpointMu and epochMu. Goroutines: one for each kind of periodic work, and timers for the removal of deleted logs; Close waits for them.
package logdir
