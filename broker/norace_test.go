//go:build !race

package broker

// plainSimSeeds is how many simulations a plain run of the tests has.
const plainSimSeeds = 50
