package fetch

import (
	"fmt"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// certificate is a primary key with what follows it in a file: user ids, subkeys, signatures.
type certificate struct {
	primary *key
	subkeys []*key

	userID      string    // the last one read
	subkey      *subkey   // the last one read; nil: none yet
	ended       time.Time // when the newest self-signature was made
	isAttribute bool      // what was read last is a picture or the like
}

// subkey collects what is said of a subkey until all of it is read.
type subkey struct {
	*key
	bound time.Time // when the newest good binding was made
}

func newCertificate(p *packet.OpaquePacket) (*certificate, error) {
	parsed, err := p.Parse()
	if err != nil {
		return nil, fmt.Errorf("a key in it cannot be read: %w", err)
	}
	public, ok := parsed.(*packet.PublicKey)
	if !ok {
		return nil, fmt.Errorf("a key in it cannot be read: packet type %d", p.Tag)
	}
	return &certificate{primary: &key{public: public, primary: fingerprint(public), distrust: weakness(public)}}, nil
}

// keys that can sign, the primary one first.
func (c *certificate) keys() []*key {
	if c == nil {
		return nil
	}
	all := []*key{c.primary}
	for _, s := range c.subkeys {
		if s.distrust == "" && c.primary.distrust != "" {
			s.distrust = "belongs to " + c.primary.primary + ", which " + c.primary.distrust
		}
		all = append(all, s)
	}
	return all
}

// add takes the packet that follows. What cannot be read says nothing.
func (c *certificate) add(p *packet.OpaquePacket) {
	parsed, err := p.Parse()
	if err != nil {
		return
	}
	switch p := parsed.(type) {
	case *packet.UserId:
		c.userID, c.isAttribute = p.Id, false
	case *packet.UserAttribute:
		c.isAttribute = true
	case *packet.PublicKey:
		c.isAttribute = false
		c.subkey = &subkey{key: &key{public: p, primary: c.primary.primary, distrust: "is not bound for signing by " + c.primary.primary}}
		c.subkeys = append(c.subkeys, c.subkey.key)
	case *packet.Signature:
		if p.CheckKeyIdOrFingerprint(c.primary.public) && !c.isAttribute {
			c.selfSigned(p)
		}
	}
}

// selfSigned takes what the primary key says of itself and its subkeys, if it is what says it.
func (c *certificate) selfSigned(sig *packet.Signature) {
	public := c.primary.public
	switch sig.SigType {
	case packet.SigTypeKeyRevocation:
		if c.subkey == nil && public.VerifyRevocationSignature(sig) == nil {
			c.primary.distrust = "is revoked" + reasonOf(sig)
		}
	case packet.SigTypeDirectSignature:
		if c.subkey == nil && public.VerifyDirectKeySignature(sig) == nil {
			c.lives(sig)
		}
	case packet.SigTypeGenericCert, packet.SigTypePersonaCert, packet.SigTypeCasualCert, packet.SigTypePositiveCert:
		if c.subkey == nil && public.VerifyUserIdSignature(c.userID, public, sig) == nil {
			c.lives(sig)
		}
	case packet.SigTypeSubkeyRevocation:
		if c.subkey != nil && public.VerifySubkeyRevocationSignature(sig, c.subkey.public) == nil {
			c.subkey.distrust = "is revoked" + reasonOf(sig)
			c.subkey.bound = maxTime
		}
	case packet.SigTypeSubkeyBinding:
		c.binds(sig)
	}
}

// maxTime is later than any OpenPGP can say.
var maxTime = time.Unix(1<<40, 0)

// lives takes the primary key's end from its newest self-signature.
func (c *certificate) lives(sig *packet.Signature) {
	if !sig.CreationTime.Before(c.ended) {
		c.ended, c.primary.until = sig.CreationTime, endOf(c.primary.public, sig)
	}
}

// binds takes a subkey into service; the newest binding holds, and a revocation for good.
func (c *certificate) binds(sig *packet.Signature) {
	s := c.subkey
	if s == nil || sig.CreationTime.Before(s.bound) || !sig.FlagsValid ||
		c.primary.public.VerifyKeySignature(s.public, sig) != nil {
		return
	}
	s.bound = sig.CreationTime
	s.until = endOf(s.public, sig)
	switch {
	case !sig.FlagSign:
		s.distrust = "is not for signing"
	case !strongHash(sig.Hash):
		s.distrust = "is bound with a weak hash, " + sig.Hash.String()
	case !strongHash(sig.EmbeddedSignature.Hash):
		s.distrust = "is bound back with a weak hash, " + sig.EmbeddedSignature.Hash.String()
	default:
		s.distrust = weakness(s.public)
	}
}

func endOf(public *packet.PublicKey, sig *packet.Signature) time.Time {
	if sig.KeyLifetimeSecs == nil || *sig.KeyLifetimeSecs == 0 {
		return time.Time{}
	}
	return public.CreationTime.Add(time.Duration(*sig.KeyLifetimeSecs) * time.Second)
}

func reasonOf(sig *packet.Signature) string {
	if sig.RevocationReasonText == "" {
		return ""
	}
	return fmt.Sprintf(" (%.80q)", sig.RevocationReasonText)
}
