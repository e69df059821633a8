package fetch

import (
	"crypto"
	"crypto/rsa"
	_ "embed" // the release key
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	_ "crypto/sha1" // self-signatures of old keys, where they can only take trust away

	"github.com/ProtonMail/go-crypto/openpgp/ecdsa"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// OpenRestyFingerprint is that of the key that signs OpenResty's source releases.
const OpenRestyFingerprint = "25451EB088460026195BD62CB550E09EA0E98066"

//go:embed openresty-release.asc
var openRestyRelease []byte

const maxKeyFileBytes = 4 << 20

// Keys are those whose signatures are trusted.
type Keys struct {
	// Now tells the time against which signatures are judged. Nil: time.Now.
	Now func() time.Time

	keys []*key
}

// key is one that can sign: a primary key, or a subkey that its primary key bound for signing.
type key struct {
	public   *packet.PublicKey
	primary  string    // fingerprint of the primary key
	until    time.Time // signatures made later do not count; zero: no end
	distrust string    // why nothing that it signed is accepted; empty: it is trusted
}

// OpenRestyKeys is the embedded release key, known by its fingerprint alone: its self-signatures of
// 2013 use SHA-1, so nothing they say is relied on.
func OpenRestyKeys() (Keys, error) {
	packets, err := readPackets(openRestyRelease)
	if err != nil {
		return Keys{}, fmt.Errorf("read the embedded release key: %w", err)
	}
	parsed, err := packets[0].Parse()
	if err != nil {
		return Keys{}, fmt.Errorf("read the embedded release key: %w", err)
	}
	public, ok := parsed.(*packet.PublicKey)
	if !ok || fingerprint(public) != OpenRestyFingerprint {
		return Keys{}, fmt.Errorf("read the embedded release key: it is not %s", OpenRestyFingerprint)
	}
	return Keys{keys: []*key{{public: public, primary: OpenRestyFingerprint, distrust: weakness(public)}}}, nil
}

// ReadKeys reads files of public keys, armored or binary, any number of keys in each. The files are
// what is trusted: a primary key counts whoever certified it, and with whatever hash. What it says of
// itself can only take away: a revocation, or an end (of which the newest statement holds). A subkey
// signs for its primary key only if that bound it for signing with a strong hash, and it did likewise.
func ReadKeys(paths ...string) (Keys, error) {
	var all Keys
	for _, path := range paths {
		data, err := readSmall(path, maxKeyFileBytes)
		if err != nil {
			return Keys{}, fmt.Errorf("read key: %w", err)
		}
		keys, err := parseKeys(data)
		if err != nil {
			return Keys{}, fmt.Errorf("read key %s: %w", path, err)
		}
		all.keys = append(all.keys, keys...)
	}
	return all, nil
}

// Fingerprints of the keys whose signatures are trusted, upper-case hexadecimal.
func (k Keys) Fingerprints() []string {
	var all []string
	for _, key := range k.keys {
		if key.distrust == "" {
			all = append(all, fingerprint(key.public))
		}
	}
	return slices.Compact(all)
}

func (k Keys) now() time.Time {
	if k.Now == nil {
		return time.Now()
	}
	return k.Now()
}

// madeBy lists the keys that sig says it was made by: several only where it names no fingerprint.
func (k Keys) madeBy(sig *packet.Signature) []*key {
	var all []*key
	for _, key := range k.keys {
		if sig.CheckKeyIdOrFingerprint(key.public) {
			all = append(all, key)
		}
	}
	return all
}

func parseKeys(data []byte) ([]*key, error) {
	packets, err := readPackets(data)
	if errors.Is(err, errNoPackets) {
		return nil, errors.New("it holds no OpenPGP key; gpg --export --armor KEY writes one")
	}
	if err != nil {
		return nil, err
	}
	var keys []*key
	var current *certificate
	for _, p := range packets {
		switch p.Tag {
		case tagSecretKey, tagSecretSubkey:
			return nil, errors.New("it holds a private key, which belongs nowhere near here; gpg --export --armor KEY writes the public one")
		case tagPublicKey:
			keys = append(keys, current.keys()...)
			if current, err = newCertificate(p); err != nil {
				return nil, err
			}
		case tagSignature, tagUserID, tagUserAttribute, tagPublicSubkey:
			if current == nil {
				return nil, errors.New("it holds no OpenPGP key, but another thing of OpenPGP; gpg --export --armor KEY writes one")
			}
			current.add(p)
		}
	}
	keys = append(keys, current.keys()...)
	trusted := slices.ContainsFunc(keys, func(k *key) bool { return k.distrust == "" })
	if len(keys) > 0 && !trusted {
		return nil, fmt.Errorf("no key in it can be trusted: %s %s; give a file with the signer's present key", fingerprint(keys[0].public), keys[0].distrust)
	}
	if len(keys) == 0 {
		return nil, errors.New("it holds no OpenPGP key; gpg --export --armor KEY writes one")
	}
	return keys, nil
}

// weakness says why a key cannot be trusted whatever is said of it, or nothing.
func weakness(public *packet.PublicKey) string {
	switch k := public.PublicKey.(type) {
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < 2048 {
			return fmt.Sprintf("is weak: RSA of %d bits, 2048 are the least", bits)
		}
	case *ecdsa.PublicKey:
		if curve, err := public.Curve(); err != nil {
			return "is of an unknown curve"
		} else if bits, err := public.BitLength(); err != nil || bits < 256 {
			return fmt.Sprintf("is weak: curve %s", curve)
		}
	}
	switch public.PubKeyAlgo {
	case packet.PubKeyAlgoRSA, packet.PubKeyAlgoRSASignOnly, packet.PubKeyAlgoECDSA,
		packet.PubKeyAlgoEdDSA, packet.PubKeyAlgoEd25519, packet.PubKeyAlgoEd448:
		return ""
	}
	return fmt.Sprintf("is of a kind that is not accepted (OpenPGP algorithm %d): RSA, ECDSA and EdDSA are", public.PubKeyAlgo)
}

// strongHash tells whether a signature may use h.
func strongHash(h crypto.Hash) bool {
	return h == crypto.SHA256 || h == crypto.SHA384 || h == crypto.SHA512
}

func fingerprint(public *packet.PublicKey) string {
	return strings.ToUpper(fmt.Sprintf("%x", public.Fingerprint))
}
