package fetch_test

import (
	"bytes"
	"crypto"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"graft/internal/fetch"
)

// FuzzVerify: whatever the signature file holds, it is refused, or it says what the only signature that
// the key ever made says.
func FuzzVerify(f *testing.F) {
	k := releaseKey()
	made := today.AddDate(0, 0, -1)
	good := recipe{hashed: [][]byte{dated(made), issuer(k), subpacket(0x83, 0x7f, 0, 0, 0), subpacket(100, 1)}, unhashed: [][]byte{issuerID(k)}}.sign(k, content)
	foreign := recipe{}.sign(strangerKey(), content)
	weak := recipe{hash: crypto.SHA1, hashID: 2}.sign(strangerKey(), content)
	for _, seed := range [][]byte{
		good, armored("PGP SIGNATURE", good), slices.Concat(foreign, good), slices.Concat(armored("PGP SIGNATURE", weak), armored("PGP SIGNATURE", good)),
		foreign, weak, public(k), nil, []byte("<html>"), []byte("-----BEGIN PGP SIGNATURE-----\n"),
		asPacket(8, []byte{1, 2, 3}), {0x88, 0, 4}, {0xc2, 0xe1, 4, 0, 0xe0, 1}, {0x8b, 4, 0, 1, 8, 0, 0},
		recipe{hashed: [][]byte{dated(made), subpacket(32, good[6:]...)}}.sign(strangerKey(), content),
	} {
		f.Add(seed)
	}
	keys := trusting(f, public(k))
	want := fetch.Signature{Fingerprint: hexOf(k), Created: made, Hash: "SHA-256", SHA256: sum(content)}
	dir := f.TempDir()
	file, asc := filepath.Join(dir, "release"), filepath.Join(dir, "release.asc")
	if err := os.WriteFile(file, content, 0o644); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(asc, data, 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := keys.Verify(t.Context(), file, asc)
		if err == nil && got != want {
			t.Errorf("%+v", got)
		}
		if err == nil && !bytes.Contains(data, []byte("-----BEGIN PGP")) && !bytes.Contains(data, good[len(good)-256:]) {
			t.Error("it is good without the key's proof in it")
		}
	})
}

// FuzzReadKeys: a key file may be anything; what is trusted after it never signs for anybody else.
func FuzzReadKeys(f *testing.F) {
	k, sub := releaseKey(), subkey()
	release, err := os.ReadFile("openresty-release.asc")
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range [][]byte{release, public(k), public(k, sub), armored("PGP PUBLIC KEY BLOCK", public(k, sub)), recipe{}.sign(k, content)} {
		f.Add(seed)
	}
	asc := written(f, "asc", recipe{hashed: [][]byte{dated(today), issuer(sub)}}.sign(sub, content))
	file := written(f, "release", content)
	path := filepath.Join(f.TempDir(), "keys")
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		keys, err := fetch.ReadKeys(path)
		if err != nil {
			return
		}
		keys.Now = func() time.Time { return today }
		got, err := keys.Verify(t.Context(), file, asc)
		// Nobody bound the subkey: only as a primary key can it have got in.
		if err == nil && (got.Primary != "" || !slices.Contains(keys.Fingerprints(), got.Fingerprint)) {
			t.Errorf("%+v", got)
		}
	})
}
