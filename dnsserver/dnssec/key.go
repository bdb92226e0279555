package dnssec

import (
	"crypto"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/miekg/dns"
)

// Algorithm is a DNSSEC algorithm, by its number.
type Algorithm uint8

// The algorithms.
const (
	ECDSAP256 Algorithm = Algorithm(dns.ECDSAP256SHA256)
	Ed25519   Algorithm = Algorithm(dns.ED25519)
)

// String returns the name as BIND spells it.
func (a Algorithm) String() string { return dns.AlgorithmToString[uint8(a)] }

// ParseAlgorithm reads the name of an algorithm.
func ParseAlgorithm(text string) (Algorithm, error) {
	for _, a := range []Algorithm{ECDSAP256, Ed25519} {
		if strings.EqualFold(text, a.String()) {
			return a, nil
		}
	}
	return 0, fmt.Errorf("algorithm %q is not known: want %s or %s", text, strings.ToLower(ECDSAP256.String()), strings.ToLower(Ed25519.String()))
}

// Key is a key pair of a zone. It never shows its private half.
type Key struct {
	dnskey *dns.DNSKEY
	signer crypto.Signer // nil if the private half is not here
	tag    uint16
}

// flags of a key that signs all of its zone: zone key, and secure entry point.
const (
	flags    = dns.ZONE | dns.SEP
	protocol = 3
	keyTTL   = 3600 // seconds; also of CDS and CDNSKEY
)

// Generate makes a new key for a zone.
func Generate(zone string, a Algorithm) (*Key, error) {
	if _, ok := dns.IsDomainName(zone); !ok || strings.Trim(zone, ".") == "" {
		return nil, fmt.Errorf("%q is not the name of a zone", zone)
	}
	k := &dns.DNSKEY{
		Hdr:   dns.RR_Header{Name: dns.CanonicalName(zone), Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: keyTTL},
		Flags: flags, Protocol: protocol, Algorithm: uint8(a),
	}
	private, err := k.Generate(256)
	if err != nil {
		return nil, fmt.Errorf("a key for %s: %w", zone, err)
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a key for %s: algorithm %v cannot sign", zone, a)
	}
	return &Key{k, signer, k.KeyTag()}, nil
}

// Zone returns the name of the zone, in lower case and with its last dot.
func (k *Key) Zone() string { return k.dnskey.Hdr.Name }

// Tag returns the key tag, by which signatures name their key.
func (k *Key) Tag() uint16 { return k.tag }

// Algorithm returns the algorithm.
func (k *Key) Algorithm() Algorithm { return Algorithm(k.dnskey.Algorithm) }

// String names the key without telling it.
func (k *Key) String() string { return fmt.Sprintf("%s/%d (%v)", k.Zone(), k.tag, k.Algorithm()) }

// DNSKEY returns the public half as a line of a zone file.
func (k *Key) DNSKEY() string { return k.dnskey.String() }

// DS returns what the parent zone has to publish, as a line of a zone file.
func (k *Key) DS() string { return k.ds().String() }

// Anchor returns the data of the DS record, for the configuration of a validating resolver.
func (k *Key) Anchor() string {
	ds := k.ds()
	return fmt.Sprintf("%d %d %d %s", ds.KeyTag, ds.Algorithm, ds.DigestType, strings.ToUpper(ds.Digest))
}

func (k *Key) ds() *dns.DS { return k.dnskey.ToDS(dns.SHA256) }

// The ends of the names of key files.
const (
	publicExt  = ".key"
	privateExt = ".private"
)

// base is the name of the key's files without their ends, as BIND has it.
func (k *Key) base() string { return fmt.Sprintf("K%s+%03d+%05d", k.Zone(), k.dnskey.Algorithm, k.tag) }

// Save writes the two files of the key into a directory and returns the path of both without their ends. The private one
// is for its owner alone. Files that are there are never replaced.
func (k *Key) Save(dir string) (base string, err error) {
	base = filepath.Join(dir, k.base())
	public := fmt.Sprintf("; the public half of a key that signs %s\n%s\n", k.Zone(), k.dnskey)
	private := k.dnskey.PrivateKeyString(k.signer)
	if err := create(base+privateExt, private, 0o600); err != nil {
		return "", err
	}
	if err := create(base+publicExt, public, 0o644); err != nil {
		_ = os.Remove(base + privateExt) // half a key is none
		return "", err
	}
	return base, nil
}

func create(path, text string, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return fmt.Errorf("key file: %w", err) // names the file
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		_ = os.Remove(path) // nobody must take it for whole
		return fmt.Errorf("key file %s: %w", path, err)
	}
	return nil
}

// maxKeyFile is far more than any key needs, in bytes.
const maxKeyFile = 64 << 10

// Load reads a key pair. The path is that of either file, or of both without their ends. A private file that others than
// its owner and group may read is refused.
func Load(path string) (*Key, error) {
	k, base, err := loadPublic(path)
	if err != nil {
		return nil, err
	}
	file := base + privateExt
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode&0o027 != 0 {
		return nil, fmt.Errorf("key file %s has mode %04o: others could sign as this zone; set it with chmod 600", file, mode)
	}
	text, err := read(file)
	if err != nil {
		return nil, err
	}
	private, err := k.dnskey.NewPrivateKey(text)
	if err != nil {
		// The library's error may hold part of the file.
		return nil, fmt.Errorf("key file %s is not a private key in BIND's format", file)
	}
	signer, ok := private.(crypto.Signer)
	if !ok || !matches(signer, k.dnskey) {
		return nil, fmt.Errorf("key file %s does not belong to %s", file, base+publicExt)
	}
	k.signer = signer
	return k, nil
}

// LoadPublic reads the public half alone. The path is as for Load.
func LoadPublic(path string) (*Key, error) {
	k, _, err := loadPublic(path)
	return k, err
}

func loadPublic(path string) (k *Key, base string, err error) {
	base = strings.TrimSuffix(strings.TrimSuffix(path, publicExt), privateExt)
	text, err := read(base + publicExt)
	if err != nil {
		return nil, "", err
	}
	k, err = parsePublic(text)
	if err != nil {
		return nil, "", fmt.Errorf("key file %s: %w", base+publicExt, err)
	}
	return k, base, nil
}

func read(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("key file: %w", err)
	}
	defer func() { _ = f.Close() }() // it was read only
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return "", fmt.Errorf("key file: %w", err)
	}
	return string(text), nil
}

// parsePublic reads the one DNSKEY record of a file.
func parsePublic(text string) (*Key, error) {
	zp := dns.NewZoneParser(strings.NewReader(text), ".", "")
	zp.SetDefaultTTL(keyTTL)
	rr, _ := zp.Next()
	k, ok := rr.(*dns.DNSKEY)
	switch {
	case zp.Err() != nil:
		return nil, fmt.Errorf("it holds no DNSKEY record: %w", zp.Err())
	case !ok:
		return nil, errors.New("it holds no DNSKEY record")
	case k.Protocol != protocol || k.Flags&dns.ZONE == 0 || k.Flags&dns.REVOKE != 0:
		return nil, errors.New("the key does not sign a zone, or was revoked")
	}
	switch Algorithm(k.Algorithm) {
	case ECDSAP256, Ed25519:
	default:
		return nil, fmt.Errorf("algorithm %d is not for here; make a key with 'gossip dns keygen'", k.Algorithm)
	}
	if k.Hdr.Name = dns.CanonicalName(k.Hdr.Name); k.Hdr.Name == "." {
		return nil, errors.New("the key is for the root")
	}
	k.Hdr.Ttl = keyTTL
	return &Key{dnskey: k, tag: k.KeyTag()}, nil
}

// matches tells whether the halves belong together: what one signs the other verifies.
func matches(private crypto.Signer, public *dns.DNSKEY) bool {
	set := []dns.RR{public}
	sig := &dns.RRSIG{Algorithm: public.Algorithm, KeyTag: public.KeyTag(), SignerName: public.Hdr.Name}
	return sig.Sign(private, set) == nil && sig.Verify(public, set) == nil
}
