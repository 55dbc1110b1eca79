// Package datadir looks at a broker's log directories while no broker uses them: what the checkpoints and small files say,
// and what Apache's own tool finds in segments, indexes and snapshots. It shares no code with the broker, so that a mistake
// of the broker's reader is not repeated here.
//
// Central type: Dir. No goroutines.
package datadir
