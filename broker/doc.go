// Package broker builds a broker of its parts, starts them in order and stops them in the reverse one. It is the only package
// that knows all; it holds no rule of Kafka's.
//
// Start order: coordination (embedded or a ZooKeeper) and the cluster's id, log directories locked and the broker's id, dynamic settings, logs
// loaded and recovered, sockets bound, registration, requests accepted, controller. Requests of the controller are served as soon as the broker is
// registered; those of clients wait until the controller has told the broker of the cluster.
package broker
