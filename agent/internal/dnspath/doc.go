// Package dnspath finds out how far a question about our zone gets: to the agent's DNS directly, through each resolver
// that the host is told to ask, and through the system's own look-up, as programs use it. What it finds it says in words,
// with what to do about it. It asks and looks through functions that it is given.
package dnspath
