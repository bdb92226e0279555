// Package trust judges how far an agent's view of its cluster can be believed: whether it is most likely cut off, and
// which members come and go too often to be sent traffic. It is pure: what happened and when goes in, verdicts come
// out; it has no clock, no lock and no goroutine. The agent feeds it and package view carries its verdicts.
//
// # When an agent is isolated
//
// Two facts speak for it, each enough by itself:
//
//   - Silence: no other member gave a sign of life for Config.Quiet, although at least two that are not accounted for
//     should. A sign of life is any packet, and any connection that a member took. In a healthy cluster there are
//     several in each probe interval. Right after half of the members vanished there are few, since most probes go to
//     those and each takes longer than the last; simulated with twenty members, five intervals without any were common
//     then, ten were not met. So Quiet is ten.
//   - Minority: more members vanished within one minute (Burst) than are left, ourselves included. In a partition this
//     is what the smaller side sees, and the larger never does. It counts for ten minutes (Memory).
//
// A member is accounted for when its host refused a connection: then the network works and just that agent is gone.
// Such members count neither as silent nor as vanished, so that the death of many programs is told from the loss of a
// network. If many hosts lose power at once nothing can tell the two apart; the verdict then is isolated, since the
// harm of a wrong "nobody is there" is the greater. With one other member alone there is never a verdict: it is as
// likely the one that is gone as we are.
//
// Time in which we did not run ourselves (a stopped process, a suspended machine) is no silence. A verdict is kept
// for Quiet after its reasons are gone, since the members come back one by one.
//
// # When a member is suppressed
//
// As in RFC 2439: each return from failed adds 1 to a penalty, which halves every Damping.HalfLife. Above
// Damping.Suppress the member is kept out of answers, until the penalty has fallen to Damping.Reuse. Leaving and coming
// back costs nothing, and neither does a return while we were isolated: then it was us who flapped.
package trust
