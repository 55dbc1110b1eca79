// Package broker builds a broker of its parts, starts them in order and stops them in the reverse one. It is the only package
// that knows all; it holds no rule of Kafka's.
//
// Start order: coordination (embedded or a ZooKeeper), cluster and broker id, dynamic settings, log directories with
// recovery, sockets bound, registration, controller, requests. Requests of the controller are served as soon as the broker is
// registered; those of clients wait until the controller has told the broker of the cluster.
package broker
