//go:build race

package broker

// simulations is how many a plain run takes: the race detector makes each some ten times slower.
const simulations = 12
