package fetch_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1"
	"crypto/sha256"
	_ "crypto/sha3"
	_ "crypto/sha512"
	"encoding/binary"
	"math/big"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"graft/internal/fetch"
)

// Tests happen on this day; keys were made a year before.
var (
	today   = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	keyMade = today.AddDate(-1, 0, 0)
)

// The release's key of the tests, and a stranger's: RSA, as OpenResty's is. They are the same in every
// process, for a fuzzer's workers share their inputs.
var (
	releaseKey  = sync.OnceValue(func() *packet.PrivateKey { return fixedRSA("release") })
	strangerKey = sync.OnceValue(func() *packet.PrivateKey { return fixedRSA("stranger") })
)

func newRSA(bits int) *packet.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return packet.NewRSAPrivateKey(keyMade, k)
}

// fixedRSA makes the same key of 2048 bits from the same name.
func fixedRSA(name string) *packet.PrivateKey {
	numbers := mathrand.NewChaCha8(sha256.Sum256([]byte(name)))
	prime := func() *big.Int {
		for buf := make([]byte, 128); ; {
			_, _ = numbers.Read(buf)
			buf[0] |= 0xc0
			buf[127] |= 1
			if p := new(big.Int).SetBytes(buf); p.ProbablyPrime(20) {
				return p
			}
		}
	}
	one, e := big.NewInt(1), big.NewInt(65537)
	p, q := prime(), prime()
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	k := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: 65537},
		D:         new(big.Int).ModInverse(e, phi),
		Primes:    []*big.Int{p, q},
	}
	k.Precompute()
	if err := k.Validate(); err != nil {
		panic(err)
	}
	return packet.NewRSAPrivateKey(keyMade, k)
}

// subpacket of a signature; add 0x80 to the type for a critical one.
func subpacket(kind byte, body ...byte) []byte {
	return append([]byte{byte(len(body) + 1), kind}, body...)
}

func dated(t time.Time) []byte {
	return subpacket(0x82, binary.BigEndian.AppendUint32(nil, uint32(t.Unix()))...)
}

func issuer(k *packet.PrivateKey) []byte {
	return subpacket(33, append([]byte{byte(k.Version)}, k.Fingerprint...)...)
}

func issuerID(k *packet.PrivateKey) []byte {
	return subpacket(16, binary.BigEndian.AppendUint64(nil, k.KeyId)...)
}

// recipe of a version 4 signature by an RSA key; the zero value is a good one.
type recipe struct {
	kind     byte // of signature
	hash     crypto.Hash
	hashID   byte
	hashed   [][]byte // nil: made yesterday by the key
	unhashed [][]byte
}

// sign makes the signature packet that the recipe says.
func (r recipe) sign(k *packet.PrivateKey, content []byte) []byte {
	if r.hash == 0 {
		r.hash, r.hashID = crypto.SHA256, 8
	}
	if r.hashed == nil {
		r.hashed = [][]byte{dated(today.AddDate(0, 0, -1)), issuer(k)}
	}
	hashed, unhashed := bytes.Join(r.hashed, nil), bytes.Join(r.unhashed, nil)
	body := []byte{4, r.kind, 1, r.hashID}
	body = append(binary.BigEndian.AppendUint16(body, uint16(len(hashed))), hashed...)
	h := r.hash.New()
	h.Write(content)
	h.Write(body)
	h.Write(binary.BigEndian.AppendUint32([]byte{4, 0xff}, uint32(len(body))))
	digest := h.Sum(nil)
	proof, err := rsa.SignPKCS1v15(nil, k.PrivateKey.(*rsa.PrivateKey), r.hash, digest)
	if err != nil {
		panic(err)
	}
	body = append(binary.BigEndian.AppendUint16(body, uint16(len(unhashed))), unhashed...)
	body = append(body, digest[0], digest[1])
	body = append(binary.BigEndian.AppendUint16(body, uint16(len(proof)*8)), proof...)
	return asPacket(2, body)
}

func asPacket(tag byte, body []byte) []byte {
	header := binary.BigEndian.AppendUint32([]byte{0xc0 | tag, 0xff}, uint32(len(body)))
	return append(header, body...)
}

func armored(kind string, data []byte) []byte {
	var b bytes.Buffer
	w, err := armor.Encode(&b, kind, nil)
	if err != nil {
		panic(err)
	}
	if _, err := w.Write(data); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return append(b.Bytes(), '\n')
}

func public(keys ...*packet.PrivateKey) []byte {
	var b bytes.Buffer
	for _, k := range keys {
		if err := k.PublicKey.Serialize(&b); err != nil {
			panic(err)
		}
	}
	return b.Bytes()
}

// written puts data into a file of its own.
func written(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// trusting reads keys from a file as a user gives it; they are judged today.
func trusting(t testing.TB, data []byte) fetch.Keys {
	t.Helper()
	keys, err := fetch.ReadKeys(written(t, "keys.asc", data))
	if err != nil {
		t.Fatal(err)
	}
	keys.Now = func() time.Time { return today }
	return keys
}
