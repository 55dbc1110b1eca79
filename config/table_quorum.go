package config

// quorumKeys are the keys of Kafka 3.9 QuorumConfig: the KRaft quorum, in the order Kafka defines them.
var quorumKeys = []Key{
	{Name: "controller.quorum.voters", Type: TypeList, Valid: quorumVoters{}, Importance: High, Status: used,
		Doc: "KRaft voters as id@host:port,..."},
	{Name: "controller.quorum.bootstrap.servers", Type: TypeList, Valid: quorumServers{}, Importance: High,
		Status: used, Doc: "Addresses of KRaft controllers as host:port,..."},
	{Name: "controller.quorum.election.timeout.ms", Type: TypeInt, Default: "1000", Importance: High, Status: noKRaft,
		Doc: "Wait of a KRaft voter without leader before it starts an election."},
	{Name: "controller.quorum.fetch.timeout.ms", Type: TypeInt, Default: "2000", Importance: High, Status: noKRaft,
		Doc: "Silence of the KRaft leader after which an election starts."},
	{Name: "controller.quorum.election.backoff.max.ms", Type: TypeInt, Default: "1000", Importance: High,
		Status: noKRaft, Doc: "Longest pause before a KRaft election is repeated."},
	{Name: "controller.quorum.append.linger.ms", Type: TypeInt, Default: "25", Importance: Medium, Status: noKRaft,
		Doc: "How long the KRaft leader gathers writes."},
	{Name: "controller.quorum.request.timeout.ms", Type: TypeInt, Default: "2000", Importance: Medium,
		Status: noKRaft, Doc: "Longest wait for an answer in the KRaft quorum."},
	{Name: "controller.quorum.retry.backoff.ms", Type: TypeInt, Default: "20", Importance: Low, Status: noKRaft,
		Doc: "Pause before a request in the KRaft quorum is repeated."},
}
