package fetch_test

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"golang.org/x/sys/unix"

	"graft/internal/fetch"
)

var content = noise(10_000)

func hexOf(k *packet.PrivateKey) string { return fmt.Sprintf("%X", k.Fingerprint) }

// judge verifies data as the signature of content.
func judge(t *testing.T, keys fetch.Keys, data []byte) (fetch.Signature, error) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "release.tar.gz")
	if err := os.WriteFile(file, content, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file+".asc", data, 0o644); err != nil {
		t.Fatal(err)
	}
	return keys.Verify(t.Context(), file, file+".asc")
}

// refused expects the kind, and a reason that has all of the words.
func refused(t *testing.T, err error, kind fetch.Kind, words ...string) {
	t.Helper()
	e, ok := errors.AsType[*fetch.SignatureError](err)
	if !ok || e.Kind != kind {
		t.Fatalf("want %s: %v", kind, err)
	}
	says(t, err, append(words, e.File, e.SignatureFile)...)
}

func TestAGoodSignatureTellsWhoMadeItAndWhen(t *testing.T) {
	k := releaseKey()
	keys := trusting(t, public(k))
	for _, tt := range []struct {
		name string
		hash crypto.Hash
		id   byte
	}{{"SHA-256", crypto.SHA256, 8}, {"SHA-384", crypto.SHA384, 9}, {"SHA-512", crypto.SHA512, 10}} {
		binary := recipe{hash: tt.hash, hashID: tt.id}.sign(k, content)
		for form, data := range map[string][]byte{
			"binary":  binary,
			"armored": armored("PGP SIGNATURE", binary),
			"in text": append([]byte("Here it is:\n\n"), armored("PGP SIGNATURE", binary)...),
			"CRLF":    bytes.ReplaceAll(armored("PGP SIGNATURE", binary), []byte("\n"), []byte("\r\n")),
		} {
			got, err := judge(t, keys, data)
			want := fetch.Signature{Fingerprint: hexOf(k), Created: today.AddDate(0, 0, -1), Hash: tt.name, SHA256: sum(content)}
			if err != nil || got != want {
				t.Errorf("%s, %s: %+v, %v, want %+v", tt.name, form, got, err, want)
			}
		}
	}
}

func TestASignatureThatNamesOnlyAKeyIDIsFoundByIt(t *testing.T) {
	k := releaseKey()
	keys := trusting(t, public(strangerKey(), k))
	for name, r := range map[string]recipe{
		"hashed":   {hashed: [][]byte{dated(today), issuerID(k)}},
		"unhashed": {hashed: [][]byte{dated(today)}, unhashed: [][]byte{issuerID(k)}}, // as GnuPG 1.4 did
	} {
		if got, err := judge(t, keys, r.sign(k, content)); err != nil || got.Fingerprint != hexOf(k) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestATamperedFileIsRefused(t *testing.T) {
	k := releaseKey()
	changed := slices.Clone(content)
	changed[len(changed)/2] ^= 1
	for name, signed := range map[string][]byte{
		"one bit":  changed,
		"longer":   append(slices.Clone(content), 0),
		"shorter":  content[:len(content)-1],
		"empty":    {},
		"reversed": append(slices.Clone(content[5_000:]), content[:5_000]...),
	} {
		_, err := judge(t, trusting(t, public(k)), recipe{}.sign(k, signed))
		refused(t, err, fetch.BadSignature, "did not make it over this file", hexOf(k))
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

func TestATamperedSignatureIsRefusedOrSaysTheSame(t *testing.T) {
	k := releaseKey()
	keys := trusting(t, public(k))
	good := recipe{hashed: [][]byte{dated(today.AddDate(0, 0, -1)), issuer(k), subpacket(3, 0x7f, 0, 0, 0)}, unhashed: [][]byte{issuerID(k)}}.sign(k, content)
	want, err := judge(t, keys, good)
	if err != nil {
		t.Fatal(err)
	}
	accepted := 0
	for i := range good {
		for _, flip := range []byte{0x01, 0x80} {
			bad := slices.Clone(good)
			bad[i] ^= flip
			got, err := judge(t, keys, bad)
			if err == nil && got != want {
				t.Fatalf("byte %d: %+v", i, got)
			}
			if err == nil {
				accepted++
			}
		}
	}
	// The unhashed subpackets and the two bytes of the digest that are there for speed.
	if accepted > 2*14 {
		t.Errorf("%d of %d changes were not noticed", accepted, 2*len(good))
	}
	for n := range good {
		if _, err := judge(t, keys, good[:n]); err == nil {
			t.Errorf("cut off after %d bytes it is good", n)
		}
	}
}

func TestAWeakHashIsRefusedByName(t *testing.T) {
	k := releaseKey()
	keys := trusting(t, public(k))
	for name, r := range map[string]recipe{
		"MD5":        {hash: crypto.SHA1, hashID: 1},
		"SHA-1":      {hash: crypto.SHA1, hashID: 2},
		"RIPEMD-160": {hash: crypto.SHA1, hashID: 3},
		"SHA-224":    {hash: crypto.SHA224, hashID: 11},
	} {
		_, err := judge(t, keys, r.sign(k, content))
		refused(t, err, fetch.WeakHash, name, "--sha256", "--insecure-no-signature")
	}
}

func TestSignaturesOfOldAndUnknownFormsAreRefused(t *testing.T) {
	k := releaseKey()
	keys := trusting(t, public(k))
	v3 := func(hash byte) []byte {
		return asPacket(2, slices.Concat([]byte{3, 5, 0, 1, 2, 3, 4}, make([]byte, 8), []byte{1, hash, 0, 0, 0, 8, 0xff}))
	}
	_, err := judge(t, keys, v3(2))
	refused(t, err, fetch.WeakHash, "SHA-1")
	_, err = judge(t, keys, v3(8))
	refused(t, err, fetch.BadSignature, "version 3")
	for _, hash := range []byte{0, 4, 7, 12, 14, 99} {
		_, err = judge(t, keys, recipe{hash: crypto.SHA256, hashID: hash}.sign(k, content))
		refused(t, err, fetch.BadSignature)
	}
	_, err = judge(t, keys, recipe{hash: crypto.SHA3_256, hashID: 12}.sign(k, content))
	refused(t, err, fetch.BadSignature, "hash that is not accepted (SHA3-256)")
}

func TestASignatureByAnotherKeyIsRefused(t *testing.T) {
	k, stranger := releaseKey(), strangerKey()
	keys := trusting(t, public(k))
	_, err := judge(t, keys, recipe{}.sign(stranger, content))
	refused(t, err, fetch.WrongKey, hexOf(stranger), hexOf(k), "--key FILE")
	_, err = judge(t, keys, recipe{hashed: [][]byte{dated(today), issuerID(stranger)}}.sign(stranger, content))
	refused(t, err, fetch.WrongKey, fmt.Sprintf("%016X", stranger.KeyId))
	_, err = judge(t, fetch.Keys{}, recipe{}.sign(k, content))
	refused(t, err, fetch.WrongKey, "nobody")
}

func TestAStrangerThatPretendsIsRefused(t *testing.T) {
	k, stranger := releaseKey(), strangerKey()
	keys := trusting(t, public(k))
	_, err := judge(t, keys, recipe{hashed: [][]byte{dated(today), issuer(k)}}.sign(stranger, content))
	refused(t, err, fetch.BadSignature)
	_, err = judge(t, keys, recipe{hashed: [][]byte{dated(today), issuer(stranger)}, unhashed: [][]byte{issuer(k)}}.sign(stranger, content))
	refused(t, err, fetch.BadSignature)
	_, err = judge(t, keys, recipe{hashed: [][]byte{dated(today), issuerID(k), issuer(stranger)}}.sign(stranger, content))
	refused(t, err, fetch.WrongKey)
}

func TestTheTimeOfASignatureIsJudged(t *testing.T) {
	k := releaseKey()
	keys := trusting(t, public(k))
	lasts := func(made time.Time, seconds byte) recipe {
		return recipe{hashed: [][]byte{dated(made), issuer(k), subpacket(0x83, 0, 0, 0, seconds)}}
	}
	at := func(made time.Time) recipe { return recipe{hashed: [][]byte{dated(made), issuer(k)}} }
	for name, tt := range map[string]struct {
		recipe recipe
		words  []string // none: it is good
	}{
		"made now":             {at(today), nil},
		"made with the key":    {at(keyMade), nil},
		"made before the key":  {at(keyMade.Add(-time.Second)), []string{"before its key was made", "2025-11-01 11:59:59"}},
		"to come":              {at(today.Add(time.Second)), []string{"yet to come", "clock", "2026-11-01 12:00:01"}},
		"lasts":                {lasts(today.Add(-9*time.Second), 10), nil},
		"expired":              {lasts(today.Add(-10*time.Second), 10), []string{"expired on 2026-11-01 12:00:00"}},
		"lasts for ever":       {lasts(today.Add(-10*time.Second), 0), nil},
		"no time":              {recipe{hashed: [][]byte{issuer(k)}}, []string{"no creation time"}},
		"a time anybody wrote": {recipe{hashed: [][]byte{issuer(k)}, unhashed: [][]byte{dated(today)}}, []string{"no creation time"}},
	} {
		_, err := judge(t, keys, tt.recipe.sign(k, content))
		switch {
		case tt.words == nil && err != nil:
			t.Errorf("%s: %v", name, err)
		case tt.words != nil:
			t.Log(name)
			refused(t, err, fetch.BadSignature, tt.words...)
		}
	}
}

func TestWhatIsCriticalAndNotUnderstoodIsRefused(t *testing.T) {
	k := releaseKey()
	keys := trusting(t, public(k))
	notation := append([]byte{0x80, 0, 0, 0, 0, 3, 0, 1}, "a@bx"...)
	for name, tt := range map[string]struct {
		extra []byte
		good  bool
	}{
		"unknown":           {subpacket(100, 1), true},
		"unknown, critical": {subpacket(100|0x80, 1), false},
		"notation":          {subpacket(20, notation...), true},
		"critical notation": {subpacket(20|0x80, notation...), false},
		"policy, critical":  {subpacket(26|0x80, 'x'), true},
	} {
		_, err := judge(t, keys, recipe{hashed: [][]byte{dated(today), issuer(k), tt.extra}}.sign(k, content))
		if tt.good && err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !tt.good {
			refused(t, err, fetch.BadSignature)
		}
	}
}

func TestOnlyASignatureOverTheBytesCounts(t *testing.T) {
	k := releaseKey()
	keys := trusting(t, public(k))
	for _, kind := range []byte{0x01, 0x02, 0x10, 0x13, 0x18, 0x1f, 0x20, 0x40, 0x50} {
		_, err := judge(t, keys, recipe{kind: kind}.sign(k, content))
		refused(t, err, fetch.BadSignature, fmt.Sprintf("0x%02x", kind))
	}
	_, err := judge(t, keys, recipe{hashed: [][]byte{dated(today)}}.sign(k, content))
	refused(t, err, fetch.BadSignature, "does not say which key")
}

func TestWhereThereIsNoSignatureThatIsSaid(t *testing.T) {
	keys := trusting(t, public(releaseKey()))
	file := written(t, "release.tar.gz", content)
	_, err := keys.Verify(t.Context(), file, file+".asc")
	refused(t, err, fetch.NoSignature, "no such file", "--mirror", "--insecure-no-signature")
	for _, tt := range []struct{ data, word string }{
		{"", "empty"},
		{"<!DOCTYPE html><html><body>Not found</body></html>", "web page"},
		{"just text", ""},
		{"-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n", ""},
	} {
		_, err := judge(t, keys, []byte(tt.data))
		refused(t, err, fetch.NoSignature, tt.word)
	}
}

func TestWhatIsNoDetachedSignatureIsRefused(t *testing.T) {
	k := releaseKey()
	keys := trusting(t, public(k))
	good := recipe{}.sign(k, content)
	for name, data := range map[string][]byte{
		"a key":              armored("PGP PUBLIC KEY BLOCK", public(k)),
		"a message":          asPacket(11, append([]byte{'b', 0, 0, 0, 0, 0}, content[:100]...)),
		"compressed":         asPacket(8, []byte{1, 2, 3}),
		"trailing rubbish":   append(slices.Clone(good), "rubbish"...),
		"and a key":          append(slices.Clone(good), public(k)...),
		"damaged armor":      []byte("-----BEGIN PGP SIGNATURE-----\n\n!!!!\n-----END PGP SIGNATURE-----\n"),
		"armor that stops":   armored("PGP SIGNATURE", good)[:200],
		"seventeen of them":  bytes.Repeat(good, 17),
		"larger than any is": append(armored("PGP SIGNATURE", good), bytes.Repeat([]byte{'\n'}, 64<<10)...),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := judge(t, keys, data)
			refused(t, err, fetch.BadSignature)
		})
	}
}

func TestOneGoodSignatureOfSeveralIsEnough(t *testing.T) {
	k, stranger := releaseKey(), strangerKey()
	keys := trusting(t, public(k))
	good := recipe{}.sign(k, content)
	bad := recipe{}.sign(k, content[1:])
	weak := recipe{hash: crypto.SHA1, hashID: 2}.sign(k, content)
	foreign := recipe{}.sign(stranger, content)
	for _, data := range [][]byte{
		slices.Concat(foreign, good), slices.Concat(good, foreign), slices.Concat(weak, good), slices.Concat(bad, good),
		slices.Concat(armored("PGP SIGNATURE", foreign), armored("PGP SIGNATURE", good)),
	} {
		if _, err := judge(t, keys, data); err != nil {
			t.Error(err)
		}
	}
	_, err := judge(t, keys, slices.Concat(foreign, bad, weak))
	refused(t, err, fetch.BadSignature, "did not make it over this file")
	_, err = judge(t, keys, slices.Concat(foreign, weak))
	refused(t, err, fetch.WeakHash)
}

func TestAPipeIsNotWaitedFor(t *testing.T) {
	keys := trusting(t, public(releaseKey()))
	file := written(t, "release.tar.gz", content)
	if err := unix.Mkfifo(file+".asc", 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := keys.Verify(t.Context(), file, file+".asc")
	refused(t, err, fetch.BadSignature, "not a regular file")

	asc := written(t, "asc", recipe{}.sign(releaseKey(), content))
	if _, err := keys.Verify(t.Context(), file+".asc", asc); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Error(err)
	}
}

func TestAFileThatCannotBeReadIsNotTheSignaturesFault(t *testing.T) {
	k := releaseKey()
	asc := written(t, "release.tar.gz.asc", recipe{}.sign(k, content))
	_, err := trusting(t, public(k)).Verify(t.Context(), strings.TrimSuffix(asc, ".asc"), asc)
	if _, ok := errors.AsType[*fetch.SignatureError](err); ok || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func TestVerifyingEndsWhenItIsCancelled(t *testing.T) {
	k := releaseKey()
	file := written(t, "release.tar.gz", content)
	asc := written(t, "release.tar.gz.asc", recipe{}.sign(k, content))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := trusting(t, public(k)).Verify(ctx, file, asc); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
