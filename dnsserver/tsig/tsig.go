// Package tsig signs and checks DNS messages with secrets that both sides share (TSIG, RFC 8945). It works on messages
// as they go over the wire, so that whoever makes them need not know of it, and covers both sides of an exchange, and the
// answers of several messages that zone transfers have. It is pure: the time is an argument. Secrets never leave a Key.
package tsig

import (
	"bytes"
	"crypto/hmac"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"time"

	"github.com/miekg/dns"
)

// The error codes of TSIG, RFC 8945 section 3.
const (
	BadSig   = dns.RcodeBadSig
	BadKey   = dns.RcodeBadKey
	BadTime  = dns.RcodeBadTime
	badTrunc = dns.RcodeBadTrunc
)

// Error says why a signed message was not accepted. It never holds a secret.
type Error struct {
	Code int    // BadSig, BadKey or BadTime
	Key  string // the name that the message gave
	text string
}

func (e *Error) Error() string { return fmt.Sprintf("tsig: key %q: %s", e.Key, e.text) }

// Errors of messages that cannot be judged at all.
var (
	// ErrFormat tells of a message that is broken, or has its signature elsewhere than at its end.
	ErrFormat = errors.New("tsig: malformed message")
	// ErrUnsigned tells of a message that should have been signed.
	ErrUnsigned = errors.New("tsig: the message is not signed")
)

const (
	// fudge is how many seconds the clocks may differ, as recommended by RFC 8945 section 10.
	fudge = 300
	// maxUnsigned is how many messages of an answer may go without a signature before the next (section 5.3.1).
	maxUnsigned = 99
)

// Exchange is the signed conversation about one request, seen from either side. It belongs to one goroutine.
type Exchange struct {
	key   *Key
	prior []byte // MAC of the message before, which the next one covers as well
	later bool   // the first message of the answer is through

	unsigned hash.Hash // over the messages since the last signature; nil if there is none
	pending  int       // how many those are
}

// NewExchange starts an exchange in which we ask.
func NewExchange(key *Key) *Exchange { return &Exchange{key: key} }

// KeyName returns the name of the key that both sides use, with its last dot and in lower case.
func (x *Exchange) KeyName() string { return x.key.Name }

// Overhead returns how many octets Seal adds to a message at most.
func (x *Exchange) Overhead() int { return x.key.overhead() }

// Open checks a request. An unsigned one is returned as it is, without an Exchange. Of a signed one it returns the
// message without its signature, and the Exchange to sign the answer with. The error is ErrFormat or an *Error, for which
// Refusal makes the answer.
func (r *Keyring) Open(packet []byte, now time.Time) ([]byte, *Exchange, error) {
	rec, err := split(packet)
	if err != nil {
		return nil, nil, err
	}
	if rec == nil {
		return packet, nil, nil
	}
	key, ok := r.find(rec)
	if !ok {
		return nil, nil, &Error{Code: BadKey, Key: rec.keyName(), text: "not one of ours, or not for that algorithm"}
	}
	mac := key.mac()
	mac.Write(rec.body())
	mac.Write(rec.variables())
	if err := key.check(rec, mac.Sum(nil), now); err != nil {
		return nil, nil, err
	}
	return rec.plain(), &Exchange{key: key, prior: rec.mac}, nil
}

// Seal appends the signature to the next message that we send: the request, or the next message of an answer.
func (x *Exchange) Seal(msg []byte, now time.Time) []byte {
	rec := record{
		name: x.key.wire, algorithm: x.key.algorithm.wire, time: unix(now), fudge: fudge, originalID: binary.BigEndian.Uint16(msg),
	}
	mac := x.key.mac()
	writePrior(mac, x.prior)
	mac.Write(msg)
	if x.later {
		mac.Write(rec.timers())
	} else {
		mac.Write(rec.variables())
	}
	rec.mac = mac.Sum(nil)
	// Of our own requests only the first message is the request.
	x.later = x.prior != nil
	x.prior = rec.mac
	return rec.appendTo(msg)
}

// Verify checks the next message of the answer to our request, and returns it without its signature. A message of a long
// answer may come unsigned; Done tells whether the last one was covered.
func (x *Exchange) Verify(packet []byte, now time.Time) ([]byte, error) {
	rec, err := split(packet)
	switch {
	case err != nil:
		return nil, err
	case rec == nil && (!x.later || x.pending == maxUnsigned):
		return nil, ErrUnsigned
	case rec == nil:
		if x.unsigned == nil {
			x.unsigned = x.key.mac()
			writePrior(x.unsigned, x.prior)
		}
		x.unsigned.Write(packet)
		x.pending++
		return packet, nil
	case !bytes.Equal(rec.name, x.key.wire) || !bytes.Equal(rec.algorithm, x.key.algorithm.wire):
		return nil, &Error{Code: BadKey, Key: rec.keyName(), text: "the answer is signed with another key than the request"}
	case len(rec.mac) == 0 && rec.code != 0:
		return nil, rec.refusal()
	}
	mac := x.unsigned
	if mac == nil {
		mac = x.key.mac()
		writePrior(mac, x.prior)
	}
	mac.Write(rec.body())
	if x.later {
		mac.Write(rec.timers())
	} else {
		mac.Write(rec.variables())
	}
	if err := x.key.check(rec, mac.Sum(nil), now); err != nil {
		if rec.code != 0 {
			return nil, rec.refusal() // an answer about clocks comes with theirs
		}
		return nil, err
	}
	if rec.code != 0 {
		return nil, rec.refusal()
	}
	x.prior, x.later, x.unsigned, x.pending = rec.mac, true, nil, 0
	return rec.plain(), nil
}

// Done reports whether all messages that Verify accepted are covered by a signature.
func (x *Exchange) Done() bool { return x.later && x.pending == 0 }

// Refusal appends what RFC 8945 section 5.2 wants in the answer to a request that Open refused with err. The answer itself,
// with the code NOTAUTH, is in msg.
func (r *Keyring) Refusal(msg, request []byte, err *Error, now time.Time) []byte {
	rec, splitErr := split(request)
	if splitErr != nil || rec == nil {
		return msg
	}
	out := record{
		name: rec.name, algorithm: rec.algorithm, time: rec.time, fudge: fudge, originalID: rec.originalID, code: uint16(err.Code),
	}
	if key, ok := r.find(rec); ok && err.Code == BadTime {
		// The client's clock is off: it gets to know ours, signed (section 5.2.3).
		out.other = binary.BigEndian.AppendUint64(nil, unix(now))[2:]
		mac := key.mac()
		writePrior(mac, rec.mac)
		mac.Write(msg)
		mac.Write(out.variables())
		out.mac = mac.Sum(nil)
	}
	return out.appendTo(msg)
}

// check compares a message with what it should be signed with, then the clocks: in this order, so that nobody without the
// key learns anything (section 5.2).
func (k *Key) check(rec *record, want []byte, now time.Time) error {
	if !hmac.Equal(rec.mac, want) {
		// A shortened one is not what our peers send; section 5.2.2.1 lets us insist on all of it.
		return &Error{Code: BadSig, Key: k.Name, text: "the signature does not match; is the secret the same on both sides?"}
	}
	if t := unix(now); max(t, rec.time)-min(t, rec.time) > uint64(rec.fudge) {
		return &Error{Code: BadTime, Key: k.Name, text: fmt.Sprintf("signed at %s, and it is %s here; set the clocks",
			time.Unix(int64(rec.time), 0).UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))}
	}
	return nil
}

// refusal is what the peer says of our request.
func (r *record) refusal() error {
	e := &Error{Code: int(r.code), Key: r.keyName()}
	switch int(r.code) {
	case BadSig:
		e.text = "the server finds that our signature does not match; is the secret the same on both sides?"
	case BadKey:
		e.text = "the server does not know it, or not for that algorithm"
	case BadTime:
		e.text = "the server's clock differs from ours; set the clocks"
	case badTrunc:
		e.text = "the server wants a longer signature"
	default:
		e.text = fmt.Sprintf("the server refuses it with code %d", r.code)
	}
	return e
}

func writePrior(mac hash.Hash, prior []byte) {
	if prior == nil {
		return
	}
	mac.Write(binary.BigEndian.AppendUint16(nil, uint16(len(prior))))
	mac.Write(prior)
}

func unix(t time.Time) uint64 { return uint64(max(t.Unix(), 0)) }
