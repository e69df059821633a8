package fetch

import (
	"cmp"
	"context"
	"crypto/sha256"
	_ "crypto/sha512" // SHA-384 and SHA-512 of signatures
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

const (
	maxSignatureBytes = 64 << 10
	maxSignatures     = 16
)

// Signature is a good one.
type Signature struct {
	Fingerprint string    `json:"fingerprint"`       // of the key that made it, upper-case hexadecimal
	Primary     string    `json:"primary,omitempty"` // of its primary key, if a subkey made it
	Created     time.Time `json:"created"`
	Hash        string    `json:"hash"`   // "SHA-256", "SHA-384" or "SHA-512"
	SHA256      string    `json:"sha256"` // of the file as it was when it was verified, hexadecimal
}

// Verify checks that signatureFile, armored or binary, holds a detached signature over file by a
// trusted key. Of several signatures one good one is enough, as where a project changes its key. A
// signature is good if it verifies; is one over the file's bytes as they are; uses SHA-256, SHA-384 or
// SHA-512; was made after its key and before now, and before its key's end; has not expired; and marks
// nothing critical that is not understood.
//
// Errors: *SignatureError, or that of reading file.
func (k Keys) Verify(ctx context.Context, file, signatureFile string) (Signature, error) {
	refuse := func(e *SignatureError) (Signature, error) {
		e.File, e.SignatureFile = file, signatureFile
		return Signature{}, e
	}
	data, err := readSmall(signatureFile, maxSignatureBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return refuse(refusal(NoSignature, "there is no such file"))
	}
	if err != nil {
		return refuse(refusal(BadSignature, "it cannot be read: %v", err))
	}
	candidates, refused := k.candidates(data)
	if len(candidates) > 0 {
		sums := []io.Writer{}
		for _, c := range candidates {
			sums = append(sums, c.sum)
		}
		content := sha256.New()
		if err := readInto(ctx, io.MultiWriter(append(sums, content)...), file); err != nil {
			return Signature{}, fmt.Errorf("verify the signature of %s: %w", file, err)
		}
		for _, c := range candidates {
			good, e := c.judge(k.now())
			if e == nil {
				good.SHA256 = hex.EncodeToString(content.Sum(nil))
				return good, nil
			}
			refused = append(refused, e)
		}
	}
	return refuse(slices.MaxFunc(refused, func(a, b *SignatureError) int { return cmp.Compare(a.Kind, b.Kind) }))
}

// candidate is a signature that may turn out good, and the key that it names.
type candidate struct {
	sig *packet.Signature
	key *key
	sum hash.Hash // of the file's content
}

// candidates reads the signatures and leaves out those that cannot be good whatever the file holds,
// each with its reason. There is at least one of either.
func (k Keys) candidates(data []byte) (found []candidate, refused []*SignatureError) {
	packets, err := readPackets(data)
	switch {
	case errors.Is(err, errNoPackets):
		return nil, []*SignatureError{refusal(NoSignature, "it holds no OpenPGP signature%s", looksLike(data))}
	case err != nil:
		return nil, []*SignatureError{refusal(BadSignature, "%v", err)}
	case len(packets) > maxSignatures:
		return nil, []*SignatureError{refusal(BadSignature, "it holds %d packets, a signature file has a few", len(packets))}
	}
	for _, p := range packets {
		if p.Tag != tagSignature {
			return nil, []*SignatureError{refusal(BadSignature, "it holds something else than detached signatures (OpenPGP packet type %d)", p.Tag)}
		}
		c, e := k.candidate(p)
		found = append(found, c...)
		if e != nil {
			refused = append(refused, e)
		}
	}
	return found, refused
}

// candidate returns those of one packet: more than one only if several trusted keys share the id that
// it names.
func (k Keys) candidate(p *packet.OpaquePacket) ([]candidate, *SignatureError) {
	if e := firstLook(p.Contents); e != nil {
		return nil, e
	}
	parsed, err := p.Parse()
	if err != nil {
		return nil, refusal(BadSignature, "it cannot be read: %v", err)
	}
	sig, ok := parsed.(*packet.Signature)
	if !ok {
		return nil, refusal(BadSignature, "it cannot be read")
	}
	if e := k.acceptable(sig); e != nil {
		return nil, e
	}
	var all []candidate
	for _, key := range k.madeBy(sig) {
		if key.distrust != "" {
			return nil, refusal(WrongKey, "the key %s that made it %s", fingerprint(key.public), key.distrust)
		}
		if key.public.Version != sig.Version || key.public.PubKeyAlgo != sig.PubKeyAlgo {
			return nil, refusal(BadSignature, "it is of another kind than the key %s that it names", fingerprint(key.public))
		}
		sum, err := sig.PrepareVerify()
		if err != nil {
			return nil, refusal(BadSignature, "it cannot be checked: %v", err)
		}
		all = append(all, candidate{sig, key, sum})
	}
	if len(all) == 0 {
		return nil, refusal(WrongKey, "%s made it, and trusted is %s", issuerOf(sig), cmp.Or(strings.Join(k.Fingerprints(), ", "), "nobody"))
	}
	return all, nil
}

// firstLook reads version and hash where the library would only say that it does not know them.
func firstLook(contents []byte) *SignatureError {
	if len(contents) == 0 {
		return refusal(BadSignature, "it is empty")
	}
	hashAt := 3
	if contents[0] == 3 {
		hashAt = 16
	}
	if len(contents) <= hashAt {
		return refusal(BadSignature, "it is cut off")
	}
	switch name := weakHashes[contents[hashAt]]; {
	case name != "":
		return refusal(WeakHash, "it is made with %s, for which a different file with the same hash can be made", name)
	case contents[0] != 4 && contents[0] != 6:
		return refusal(BadSignature, "it is of OpenPGP version %d, 4 and 6 are accepted", contents[0])
	}
	return nil
}

// weakHashes by their OpenPGP numbers. RFC 9580, section 9.5, forbids the first three in signatures.
var weakHashes = map[byte]string{1: "MD5", 2: "SHA-1", 3: "RIPEMD-160", 11: "SHA-224"}

// acceptable refuses what a release's signature never is.
func (k Keys) acceptable(sig *packet.Signature) *SignatureError {
	if sig.SigType != packet.SigTypeBinary {
		return refusal(BadSignature, "it is no signature over a file's bytes (OpenPGP signature type 0x%02x)", byte(sig.SigType))
	}
	if !strongHash(sig.Hash) {
		return refusal(BadSignature, "it is made with a hash that is not accepted (%s): SHA-256, SHA-384 and SHA-512 are", sig.Hash)
	}
	if sig.IssuerKeyId == nil && sig.IssuerFingerprint == nil {
		return refusal(BadSignature, "it does not say which key made it")
	}
	for _, n := range sig.Notations {
		if n.IsCritical {
			return refusal(BadSignature, "it depends on a notation that is not known here, %.80q", n.Name)
		}
	}
	return nil
}

// judge decides once the whole content is in c.sum.
func (c candidate) judge(now time.Time) (Signature, *SignatureError) {
	by := fingerprint(c.key.public)
	if err := c.key.public.VerifySignature(c.sum, c.sig); err != nil {
		return Signature{}, refusal(BadSignature, "the key %s did not make it over this file: one of the two was changed, or belongs to another release", by)
	}
	made := c.sig.CreationTime
	expires := time.Time{}
	if life := c.sig.SigLifetimeSecs; life != nil && *life > 0 {
		expires = made.Add(time.Duration(*life) * time.Second)
	}
	switch {
	case made.After(now):
		return Signature{}, refusal(BadSignature, "it is dated %s, which is yet to come: is this host's clock right (%s)?", stamp(made), stamp(now))
	case made.Before(c.key.public.CreationTime):
		return Signature{}, refusal(BadSignature, "it is dated %s, before its key was made", stamp(made))
	case !expires.IsZero() && !now.Before(expires):
		return Signature{}, refusal(BadSignature, "it expired on %s", stamp(expires))
	case !c.key.until.IsZero() && !made.Before(c.key.until):
		return Signature{}, refusal(WrongKey, "the key %s that made it ended on %s, before it was made; get the key's present state", by, stamp(c.key.until))
	}
	good := Signature{Fingerprint: by, Created: made.UTC(), Hash: c.sig.Hash.String()}
	if by != c.key.primary {
		good.Primary = c.key.primary
	}
	return good, nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.DateTime) + " UTC" }

func issuerOf(sig *packet.Signature) string {
	if len(sig.IssuerFingerprint) > 0 {
		return fmt.Sprintf("the key %X", sig.IssuerFingerprint)
	}
	return fmt.Sprintf("the key with the id %016X", *sig.IssuerKeyId)
}

// looksLike helps whom a mirror gave its error page.
func looksLike(data []byte) string {
	head := strings.ToLower(strings.TrimSpace(string(data[:min(len(data), 512)])))
	switch {
	case len(data) == 0:
		return ": it is empty"
	case strings.HasPrefix(head, "<"):
		return ": it is a web page"
	}
	return ""
}
