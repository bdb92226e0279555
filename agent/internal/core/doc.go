// Package core is the single writer of an agent's cluster state. One goroutine takes inputs from a bounded
// inbox, feeds them to the pure state machine of package state, publishes a new view when members changed, and
// carries out the effects. Everybody else posts inputs, asks through requests, or reads the view.
//
// # Contract
//
//   - Post never blocks and may be called with other people's locks held.
//   - Inputs are applied in the order in which they were posted.
//   - A view that shows a change is published before the events of that change are emitted.
//   - Effects run on the core's goroutine, outside any lock, and must not block: sending is best effort by
//     UDP, broadcasting is queueing, and what takes longer is handed to a goroutine that Stop waits for.
package core
