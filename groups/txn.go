package groups

// stage keeps an offset that a transaction commits until the transaction ends. A later commit of the transaction takes the place of an earlier one.
func (s *shard) stage(g *group, producerID int64, tp topicPart, o *offset) {
	staged := g.txns[producerID]
	if staged == nil {
		staged = map[topicPart]*offset{}
		g.txns[producerID] = staged
	}
	staged[tp] = o
	if s.open[producerID] == nil {
		s.open[producerID] = map[string]bool{}
	}
	s.open[producerID][g.id] = true
}

// closeTxn forgets what the producer's transaction has staged in a group.
func (s *shard) closeTxn(producerID int64, g *group) {
	delete(g.txns, producerID)
	delete(s.open[producerID], g.id)
	if len(s.open[producerID]) == 0 {
		delete(s.open, producerID)
	}
}

// endTxn makes the offsets of a committed transaction count, or drops those of an aborted one, in all groups of the partition. Kafka 3.9
// GroupMetadataManager.handleTxnCompletion, GroupMetadata.completePendingTxnOffsetCommit.
func (s *shard) endTxn(producerID int64, commit bool) {
	for id := range s.open[producerID] {
		g := s.groups[id]
		if g == nil {
			continue
		}
		if commit {
			for tp, o := range g.txns[producerID] {
				g.put(tp, o)
			}
		}
		s.closeTxn(producerID, g)
	}
}

// ReplayMarker takes the end of a transaction while the partition is loaded.
func (s *shard) ReplayMarker(producerID int64, commit bool) { s.endTxn(producerID, commit) }

// put stores a committed offset unless one that is later in the log is there: a transaction's commits count from where they were written, not from
// where the transaction ended.
func (g *group) put(tp topicPart, o *offset) {
	if old := g.offsets[tp]; old == nil || old.logOffset < o.logOffset {
		g.offsets[tp] = o
	}
}

// unstable says whether a commit is under way for the partition, or in an open transaction.
func (g *group) unstable(tp topicPart) bool {
	if len(g.onTheWay[tp]) > 0 {
		return true
	}
	for _, staged := range g.txns {
		if staged[tp] != nil {
			return true
		}
	}
	return false
}

// unstage drops what open transactions commit for a partition.
func (g *group) unstage(tp topicPart) {
	for _, staged := range g.txns {
		delete(staged, tp)
	}
}
