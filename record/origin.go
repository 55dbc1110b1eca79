package record

// Origin says where an append comes from, and so what is checked (Kafka 3.9 AppendOrigin).
type Origin int8

const (
	// Client appends are Produce requests: everything is checked.
	Client Origin = iota
	// Coordinator appends are offset commits, transaction states and markers written by this broker: records and epochs are
	// checked, sequences are not.
	Coordinator
	// Replication appends were checked by the leader, and so were batches read when a log is loaded: they are taken as they are.
	Replication
)

func (o Origin) String() string {
	switch o {
	case Client:
		return "client"
	case Coordinator:
		return "coordinator"
	case Replication:
		return "replication"
	}
	return "unknown"
}
