package fetch_test

import (
	"bytes"
	"crypto"
	"slices"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"graft/internal/fetch"
)

// claim is what a primary key says of itself or of a subkey; the zero value binds a subkey for signing.
type claim struct {
	kind      packet.SignatureType
	made      time.Time // zero: with the key
	lifetime  time.Duration
	hash      crypto.Hash // zero: SHA-256
	crossHash crypto.Hash // zero: SHA-256
	noCross   bool
	encrypts  bool
}

// binding of sub by primary as c says.
func (c claim) binding(t *testing.T, primary, sub *packet.PrivateKey) []byte {
	t.Helper()
	sig := c.signature(primary)
	sig.SigType, sig.FlagsValid = packet.SigTypeSubkeyBinding, true
	sig.FlagSign, sig.FlagEncryptStorage = !c.encrypts, c.encrypts
	config := plainly(sig.CreationTime)
	if !c.noCross && !c.encrypts {
		sig.EmbeddedSignature = claim{made: c.made, hash: c.crossHash}.signature(sub)
		sig.EmbeddedSignature.SigType = packet.SigTypePrimaryKeyBinding
		if err := sig.EmbeddedSignature.CrossSignKey(&sub.PublicKey, &primary.PublicKey, sub, config); err != nil {
			t.Fatal(err)
		}
	}
	if err := sig.SignKey(&sub.PublicKey, primary, config); err != nil {
		t.Fatal(err)
	}
	return serialized(t, sig)
}

// ofItself is a signature of the primary key about itself: a user id's, a direct one or a revocation.
func (c claim) ofItself(t *testing.T, primary *packet.PrivateKey, id string) []byte {
	t.Helper()
	sig := c.signature(primary)
	sig.SigType = c.kind
	config := plainly(sig.CreationTime)
	var err error
	switch c.kind {
	case packet.SigTypeKeyRevocation:
		reason := packet.KeyCompromised
		sig.RevocationReason, sig.RevocationReasonText = &reason, "laptop stolen"
		err = sig.RevokeKey(&primary.PublicKey, primary, config)
	case packet.SigTypeDirectSignature:
		err = sig.SignDirectKeyBinding(&primary.PublicKey, primary, config)
	default:
		err = sig.SignUserId(id, &primary.PublicKey, primary, config)
	}
	if err != nil {
		t.Fatal(err)
	}
	return serialized(t, sig)
}

func (c claim) signature(by *packet.PrivateKey) *packet.Signature {
	sig := &packet.Signature{Version: 4, PubKeyAlgo: by.PubKeyAlgo, Hash: c.hash, CreationTime: c.made, IssuerKeyId: &by.KeyId}
	if c.hash == 0 {
		sig.Hash = crypto.SHA256
	}
	if c.made.IsZero() {
		sig.CreationTime = keyMade
	}
	if c.lifetime != 0 {
		seconds := uint32(c.lifetime / time.Second)
		sig.KeyLifetimeSecs = &seconds
	}
	return sig
}

// plainly signs without the random notation, which the library does not make for SHA-1.
func plainly(at time.Time) *packet.Config {
	no := false
	return &packet.Config{Time: func() time.Time { return at }, NonDeterministicSignaturesViaNotation: &no}
}

func serialized(t *testing.T, sig *packet.Signature) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := sig.Serialize(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// subkey of the tests; its packet says that it is one.
func subkey() *packet.PrivateKey {
	k := *strangerKey()
	k.IsSubkey = true
	return &k
}

func TestASubkeySignsForItsPrimaryIfBothSayThatItMay(t *testing.T) {
	k, sub := releaseKey(), subkey()
	file := slices.Concat(public(k, sub), claim{}.binding(t, k, sub))
	got, err := judge(t, trusting(t, file), recipe{}.sign(sub, content))
	if err != nil || got.Fingerprint != hexOf(sub) || got.Primary != hexOf(k) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestASubkeyThatIsNotWellBoundDoesNotSign(t *testing.T) {
	k, sub, other := releaseKey(), subkey(), newRSA(2048)
	revoked := claim{}.signature(k)
	revoked.SigType = packet.SigTypeSubkeyRevocation
	config := plainly(keyMade)
	if err := revoked.RevokeSubkey(&sub.PublicKey, k, config); err != nil {
		t.Fatal(err)
	}
	revocation := serialized(t, revoked)
	ended := claim{lifetime: 24 * time.Hour}
	for name, tt := range map[string]struct {
		says [][]byte
		word string
	}{
		"not bound":           {nil, "not bound for signing"},
		"bound by another":    {[][]byte{claim{}.binding(t, other, sub)}, "not bound for signing"},
		"not bound back":      {[][]byte{claim{noCross: true}.binding(t, k, sub)}, "not bound for signing"},
		"for encryption":      {[][]byte{claim{encrypts: true}.binding(t, k, sub)}, "not for signing"},
		"bound with SHA-1":    {[][]byte{claim{hash: crypto.SHA1}.binding(t, k, sub)}, "weak hash, SHA-1"},
		"back with SHA-1":     {[][]byte{claim{crossHash: crypto.SHA1}.binding(t, k, sub)}, "back with a weak hash, SHA-1"},
		"revoked":             {[][]byte{claim{}.binding(t, k, sub), revocation}, "revoked"},
		"revoked, then bound": {[][]byte{revocation, claim{}.binding(t, k, sub)}, "revoked"},
		"ended":               {[][]byte{ended.binding(t, k, sub)}, "ended on 2025-11-02"},
		"no longer signing":   {[][]byte{claim{made: keyMade.AddDate(0, 1, 0), encrypts: true}.binding(t, k, sub), claim{}.binding(t, k, sub)}, "not for signing"},
	} {
		t.Run(name, func(t *testing.T) {
			keys := trusting(t, slices.Concat(append([][]byte{public(k, sub)}, tt.says...)...))
			_, err := judge(t, keys, recipe{}.sign(sub, content))
			refused(t, err, fetch.WrongKey, hexOf(sub), tt.word)
			if _, err := judge(t, keys, recipe{}.sign(k, content)); err != nil {
				t.Errorf("the primary key suffers: %v", err)
			}
		})
	}
}

func TestASubkeyWhoseEndWasPutOffSigns(t *testing.T) {
	k, sub := releaseKey(), subkey()
	first, later := claim{lifetime: 24 * time.Hour}, claim{made: keyMade.AddDate(0, 1, 0), lifetime: 2 * 365 * 24 * time.Hour}
	for _, says := range [][]byte{
		slices.Concat(first.binding(t, k, sub), later.binding(t, k, sub)),
		slices.Concat(later.binding(t, k, sub), first.binding(t, k, sub)),
	} {
		if _, err := judge(t, trusting(t, append(public(k, sub), says...)), recipe{}.sign(sub, content)); err != nil {
			t.Error(err)
		}
	}
}

func TestARevokedKeyIsNotTrusted(t *testing.T) {
	k, sub := releaseKey(), subkey()
	revocation := claim{kind: packet.SigTypeKeyRevocation}.ofItself(t, k, "")
	path := written(t, "keys", append(public(k), revocation...))
	_, err := fetch.ReadKeys(path)
	if err == nil {
		t.Fatal("trusted")
	}
	says(t, err, path, hexOf(k), "revoked", "laptop stolen")

	other := newRSA(2048)
	keys := trusting(t, slices.Concat(public(k), revocation, public(sub), claim{}.binding(t, k, sub), public(other)))
	if got := keys.Fingerprints(); !slices.Equal(got, []string{hexOf(other)}) {
		t.Errorf("%v", got)
	}
	_, err = judge(t, keys, recipe{}.sign(sub, content))
	refused(t, err, fetch.WrongKey, "revoked")
}

func TestARevocationThatTheKeyDidNotMakeSaysNothing(t *testing.T) {
	k, other := releaseKey(), strangerKey()
	foreign := claim{kind: packet.SigTypeKeyRevocation}.ofItself(t, other, "")
	forged := claim{kind: packet.SigTypeKeyRevocation}.ofItself(t, k, "")
	forged[len(forged)-1] ^= 1
	keys := trusting(t, slices.Concat(public(k), foreign, forged))
	if _, err := judge(t, keys, recipe{}.sign(k, content)); err != nil {
		t.Error(err)
	}
}

func TestWhatAKeySignedAfterItsEndIsRefused(t *testing.T) {
	k := releaseKey()
	id := asPacket(13, []byte("Test <test@example.com>"))
	named := func(c claim) []byte {
		c.kind = packet.SigTypePositiveCert
		return slices.Concat(id, c.ofItself(t, k, "Test <test@example.com>"))
	}
	direct := func(c claim) []byte {
		c.kind = packet.SigTypeDirectSignature
		return c.ofItself(t, k, "")
	}
	month, later := 30*24*time.Hour, keyMade.AddDate(0, 2, 0)
	for name, tt := range map[string]struct {
		says []byte
		good bool
	}{
		"ended, by user id":      {named(claim{lifetime: month}), false},
		"ended, old hash":        {named(claim{lifetime: month, hash: crypto.SHA1}), false},
		"ended, directly":        {direct(claim{lifetime: month}), false},
		"put off":                {slices.Concat(named(claim{made: later}), named(claim{lifetime: month})), true},
		"brought forward":        {slices.Concat(direct(claim{made: later, lifetime: month}), named(claim{})), false},
		"said of another person": {slices.Concat(asPacket(13, []byte("Somebody else")), claim{kind: packet.SigTypePositiveCert, lifetime: month}.ofItself(t, k, "Test <test@example.com>")), true},
		"said of a picture":      {slices.Concat(id, asPacket(17, []byte{2, 1, 0}), claim{kind: packet.SigTypePositiveCert, lifetime: month}.ofItself(t, k, "Test <test@example.com>")), true},
	} {
		t.Run(name, func(t *testing.T) {
			keys := trusting(t, append(public(k), tt.says...))
			_, err := judge(t, keys, recipe{}.sign(k, content))
			if tt.good && err != nil {
				t.Error(err)
			}
			if !tt.good {
				refused(t, err, fetch.WrongKey, "ended on 2025-12-01")
			}
			early := recipe{hashed: [][]byte{dated(keyMade.AddDate(0, 0, 1)), issuer(k)}}
			if _, err := judge(t, keys, early.sign(k, content)); err != nil {
				t.Errorf("what it signed before its end: %v", err)
			}
		})
	}
}
