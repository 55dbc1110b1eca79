//go:build !race

package broker

// simulations is how many a plain run takes.
const simulations = 50
