package fetch

import "fmt"

// Kind of a refused signature. Of several signatures the highest kind is reported.
type Kind int

// The kinds.
const (
	NoSignature  Kind = iota + 1 // there is none
	WrongKey                     // by a key that is not trusted
	WeakHash                     // proves nothing, whoever made it
	BadSignature                 // does not fit the file, or is not to be relied on
)

func (k Kind) String() string {
	switch k {
	case NoSignature:
		return "no signature"
	case WrongKey:
		return "wrong key"
	case WeakHash:
		return "weak hash"
	case BadSignature:
		return "bad signature"
	}
	return "unknown"
}

// SignatureError says why a file cannot be taken for the signer's.
type SignatureError struct {
	Kind          Kind
	File          string
	SignatureFile string // path or URL
	Reason        string
}

func refusal(kind Kind, format string, args ...any) *SignatureError {
	return &SignatureError{Kind: kind, Reason: fmt.Sprintf(format, args...)}
}

func (e *SignatureError) Error() string {
	return fmt.Sprintf("%s refused: %s in %s: %s; %s", e.File, e.Kind, e.SignatureFile, e.Reason, e.remedy())
}

func (e *SignatureError) remedy() string {
	const unsigned = "to do without a signature: --sha256 of a sum that you trust, with --insecure-no-signature"
	switch e.Kind {
	case NoSignature:
		return "give a --mirror that has the .asc file too; " + unsigned
	case WrongKey:
		return "if you trust the signer, give the key: --key FILE; if not, do not use the file"
	case WeakHash:
		return "take a newer release; " + unsigned
	}
	return "do not use the file; get it from another --mirror"
}
