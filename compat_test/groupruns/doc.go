// Package groupruns lets groups of stock clients live through joins, leaves, kills and changes of their protocol, and judges them by what the members tell.
package groupruns
