// Package rehearse plays a whole migration on a clone of this host before the host itself is touched.
//
// The clone is a sandbox: a copy-on-write view of the files, namespaces of its own for processes and
// network. In it the binary that runs starts as the master was started (arguments, working directory,
// user, limits), and package migrate, the same that will act on the host, carries the plan out: to
// overlap and back, to parked and back, through the death of the new master at both, to the end, and
// back from there. Clients ask all the while, and a single lost request fails the rehearsal.
//
// In two more clones the old and the new binary answer the same requests, with stubs for all
// upstreams, and package parity compares what came back.
//
// The parent, [Run], makes the clones and collects; [Main] is what runs in each of them. Production
// sees nothing of it: what a clone writes goes with it, and no packet leaves it.
package rehearse
