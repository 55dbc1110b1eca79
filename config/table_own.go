package config

// ownKeys are settings that Kafka does not have. They are not described unless set, as Kafka's tools know nothing of them.
var ownKeys = []Key{
	{Name: "gokafka.dead.broker.detection.enable", Type: TypeBoolean, Default: "true", Importance: Medium, Internal: true, Status: used,
		Doc: "Whether a broker whose process was seen to die is taken for dead at once, and not when its ZooKeeper session times out."},
}
