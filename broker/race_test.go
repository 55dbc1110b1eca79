//go:build race

package broker

// plainSimSeeds is how many simulations a plain run of the tests has. The race detector makes them slow.
const plainSimSeeds = 12
