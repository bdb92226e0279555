// Package dnssec signs answers as they are given (RFC 4033 to 4035). It knows keys and record sets; what is in an answer
// is the business of the server above it.
//
// # Keys
//
// One key signs everything in its zone, the DNSKEY set included (a combined signing key, flags 257), with ECDSA P-256
// (algorithm 13) or Ed25519 (15), as RFC 8624 recommends. Keys are files in the format of BIND, so dnssec-keygen makes
// them too. If a zone has several keys, all are published and all sign: that is how a key is replaced. Add the new one,
// let the parent learn it (CDS and CDNSKEY, RFC 7344, tell), wait until the old DS has left all caches, remove the old one.
//
// # Signatures
//
// A signature holds for some days, begins an hour ago for clocks that are slow, and is kept for record sets that are
// asked for again. No two end at the same moment.
//
// # Denial
//
// That something does not exist is said as RFC 9824 has it (compact denial): an NSEC record at the very name that was
// asked for, made for the question, which lists the types that the name has. For a name that does not exist that is
// NXNAME. Nobody can list the zone by it, and no neighbours have to be known.
package dnssec
