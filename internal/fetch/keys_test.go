package fetch_test

import (
	"bytes"
	"crypto"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"graft/internal/fetch"
)

const openRestyFingerprint = "25451EB088460026195BD62CB550E09EA0E98066"

func TestTheEmbeddedKeyIsOpenRestys(t *testing.T) {
	keys, err := fetch.OpenRestyKeys()
	if err != nil {
		t.Fatal(err)
	}
	if got := keys.Fingerprints(); !slices.Equal(got, []string{openRestyFingerprint}) {
		t.Errorf("%v", got)
	}
	_, err = judge(t, keys, recipe{}.sign(releaseKey(), content))
	refused(t, err, fetch.WrongKey, openRestyFingerprint)
}

func TestOpenRestysKeyFileCanBeGivenThoughItsSelfSignaturesAreSHA1(t *testing.T) {
	keys, err := fetch.ReadKeys("openresty-release.asc")
	if err != nil {
		t.Fatal(err)
	}
	if got := keys.Fingerprints(); !slices.Equal(got, []string{openRestyFingerprint}) {
		t.Errorf("%v: its other key is for encryption", got)
	}
}

func TestKeyFilesAreReadInEveryForm(t *testing.T) {
	k, other := releaseKey(), strangerKey()
	kind := "PGP PUBLIC KEY BLOCK"
	for name, data := range map[string][]byte{
		"binary":             public(k, other),
		"armored":            armored(kind, public(k, other)),
		"armored, two":       slices.Concat(armored(kind, public(k)), armored(kind, public(other))),
		"in text":            slices.Concat([]byte("The key:\n"), armored(kind, public(k)), []byte("and\n"), armored(kind, public(other))),
		"with what it skips": slices.Concat(asPacket(12, []byte{1}), public(k), asPacket(13, []byte("name")), asPacket(12, []byte{1}), public(other), asPacket(60, nil)),
	} {
		keys := trusting(t, data)
		if got := keys.Fingerprints(); !slices.Equal(got, []string{hexOf(k), hexOf(other)}) {
			t.Errorf("%s: %v", name, got)
		}
		if got, err := judge(t, keys, recipe{}.sign(other, content)); err != nil || got.Fingerprint != hexOf(other) || got.Primary != "" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestSeveralKeyFilesAreTrustedTogether(t *testing.T) {
	a, b := written(t, "a", public(releaseKey())), written(t, "b", public(strangerKey()))
	keys, err := fetch.ReadKeys(a, b)
	if err != nil || len(keys.Fingerprints()) != 2 {
		t.Errorf("%v, %v", keys.Fingerprints(), err)
	}
}

// dsaKey is one by its form: algorithm 17 and its four numbers.
var dsaKey = asPacket(6, slices.Concat([]byte{4, 0, 0, 0, 1, 17}, bytes.Repeat([]byte{0, 8, 0xfb}, 4)))

func TestWhatIsNoUsableKeyFileIsRefused(t *testing.T) {
	var secret bytes.Buffer
	if err := releaseKey().Serialize(&secret); err != nil {
		t.Fatal(err)
	}
	for word, data := range map[string][]byte{
		"private":                secret.Bytes(),
		"gpg --export":           nil,
		"no OpenPGP key":         []byte("<html>"),
		"another thing":          recipe{}.sign(releaseKey(), content),
		"damaged":                public(releaseKey())[:100],
		"cannot be read":         asPacket(6, []byte{4, 0, 0, 0, 0, 1, 0}),
		"larger than":            bytes.Repeat([]byte("x"), 5<<20),
		"RSA of 1024 bits":       public(newRSA(1024)),
		"RSA, ECDSA and EdDSA a": dsaKey,
	} {
		path := written(t, "keys.asc", data)
		_, err := fetch.ReadKeys(path)
		if err == nil {
			t.Errorf("%s: accepted", word)
			continue
		}
		says(t, err, path, word)
	}
	if _, err := fetch.ReadKeys(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := fetch.ReadKeys(t.TempDir()); err == nil {
		t.Error("a directory is accepted")
	}
}

func TestAWeakKeyBesideAStrongOneIsNotTrusted(t *testing.T) {
	weak := newRSA(1024)
	keys := trusting(t, public(releaseKey(), weak))
	if got := keys.Fingerprints(); !slices.Equal(got, []string{hexOf(releaseKey())}) {
		t.Errorf("%v", got)
	}
	_, err := judge(t, keys, recipe{}.sign(weak, content))
	refused(t, err, fetch.WrongKey, "weak", "1024")
}

// sign makes a signature with the library, for kinds of keys that recipe does not know.
func sign(t *testing.T, k *packet.PrivateKey) []byte {
	t.Helper()
	sig := &packet.Signature{Version: k.Version, SigType: packet.SigTypeBinary, PubKeyAlgo: k.PubKeyAlgo, Hash: crypto.SHA512, CreationTime: today}
	config := &packet.Config{Time: func() time.Time { return today }}
	h, err := sig.PrepareSign(config)
	if err != nil {
		t.Fatal(err)
	}
	h.Write(content)
	if err := sig.Sign(h, k, config); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := sig.Serialize(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func entity(t *testing.T, algorithm packet.PublicKeyAlgorithm, curve packet.Curve, v6 bool) *openpgp.Entity {
	t.Helper()
	e, err := openpgp.NewEntity("Test", "", "test@example.com", &packet.Config{
		Algorithm: algorithm, Curve: curve, V6Keys: v6, Time: func() time.Time { return keyMade },
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestModernKeysAreTrustedToo(t *testing.T) {
	for name, k := range map[string]*packet.PrivateKey{
		"EdDSA":      entity(t, packet.PubKeyAlgoEdDSA, packet.Curve25519, false).PrivateKey,
		"Ed25519":    entity(t, packet.PubKeyAlgoEd25519, packet.Curve25519, false).PrivateKey,
		"Ed25519 v6": entity(t, packet.PubKeyAlgoEd25519, packet.Curve25519, true).PrivateKey,
		"Ed448 v6":   entity(t, packet.PubKeyAlgoEd448, packet.Curve448, true).PrivateKey,
		"P-256":      entity(t, packet.PubKeyAlgoECDSA, packet.CurveNistP256, false).PrivateKey,
	} {
		got, err := judge(t, trusting(t, public(k)), sign(t, k))
		if err != nil || got.Fingerprint != hexOf(k) || got.Hash != "SHA-512" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}
