package fetch

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"

	"graft/internal/durable"
)

// Signed is a file that is only taken if somebody trusted signed it.
type Signed struct {
	Request

	// SignatureURL is where its detached signature lies. Empty: the URL with ".asc" after its path.
	SignatureURL string
	Keys         Keys

	// InsecureNoSignature takes the file without one; a SHA256 is checked all the same.
	InsecureNoSignature bool
}

// Download is a file that is there now.
type Download struct {
	Path      string
	URL       string     // without password
	SHA256    string     // as it was when it was verified: who reads the file later can compare
	Signature *Signature // nil: none was asked for
}

// Get downloads the file and its signature and verifies them. What is already there and verifies is
// taken as it is, without asking anybody. What does not verify is removed: it must not be mistaken for
// a good one later.
//
// Errors: those of File, *SignatureError.
func (s Signed) Get(ctx context.Context) (Download, error) {
	request, u, err := s.prepared()
	if err != nil {
		return Download{}, err
	}
	got := Download{URL: u.Redacted(), Path: filepath.Join(request.Dir, request.Name)}
	if s.InsecureNoSignature {
		if _, err := File(ctx, request); err != nil {
			return Download{}, err
		}
		got.SHA256, err = sumFile(ctx, got.Path)
		return got, err
	}
	signature, err := s.get(ctx, request, u, got.Path)
	if err != nil {
		return Download{}, err
	}
	got.SHA256, got.Signature = signature.SHA256, &signature
	return got, nil
}

func (s Signed) get(ctx context.Context, request Request, u *url.URL, path string) (Signature, error) {
	if err := durable.MkdirAll(request.Dir, 0o755); err != nil {
		return Signature{}, err
	}
	// Of two processes that find the same bad file, one would remove what the other has downloaded anew.
	held, err := lock(ctx, filepath.Join(request.Dir, "."+request.Name+".signed.lock"), request.Log)
	if err != nil {
		return Signature{}, err
	}
	defer held.Close()
	asc := path + ".asc"
	if exists(path) && exists(asc) {
		signature, err := s.verify(ctx, request, path)
		if err == nil {
			return signature, nil
		}
		if ctx.Err() != nil {
			return Signature{}, err
		}
		request.Log.Info("what lies here does not verify, downloading it again", "file", path, "reason", err.Error())
		if err := discard(path); err != nil {
			return Signature{}, err
		}
	}
	signatureURL, err := s.downloadSignature(ctx, request, u)
	status, gone := errors.AsType[*StatusError](err)
	gone = gone && (status.Status == http.StatusNotFound || status.Status == http.StatusGone)
	if err != nil && !gone {
		return Signature{}, err
	}
	if !gone && exists(path) {
		// An earlier run was ended between the two.
		if signature, err := s.verify(ctx, request, path); err == nil {
			return signature, nil
		}
	}
	// Even without a signature: where there is no such file either, that is what the user must know.
	if _, err := File(ctx, request); err != nil {
		return Signature{}, errors.Join(err, discard(asc))
	}
	if gone {
		e := refusal(NoSignature, "the server answers %d", status.Status)
		e.File, e.SignatureFile = u.Redacted(), signatureURL
		return Signature{}, errors.Join(e, discard(path))
	}
	signature, err := s.verify(ctx, request, path)
	if err != nil {
		if e, ok := errors.AsType[*SignatureError](err); ok {
			e.File, e.SignatureFile = u.Redacted(), signatureURL
		}
		return Signature{}, errors.Join(err, discard(path))
	}
	return signature, nil
}

// downloadSignature puts the signature beside where the file will lie.
func (s Signed) downloadSignature(ctx context.Context, request Request, u *url.URL) (from string, err error) {
	asc := request
	asc.Name, asc.URL = request.Name+".asc", s.SignatureURL
	if asc.URL == "" {
		beside := *u
		beside.Path, beside.RawPath = u.Path+".asc", ""
		if u.RawPath != "" {
			beside.RawPath = u.RawPath + ".asc"
		}
		asc.URL = beside.String()
	}
	asc.SHA256, asc.MaxBytes, asc.Progress = "", maxSignatureBytes, nil
	at, err := parseURL(asc.URL)
	if err != nil {
		return "", err
	}
	_, err = File(ctx, asc)
	return at.Redacted(), err
}

func (s Signed) verify(ctx context.Context, request Request, path string) (Signature, error) {
	signature, err := s.Keys.Verify(ctx, path, path+".asc")
	if err == nil && request.SHA256 != "" && request.SHA256 != signature.SHA256 {
		return Signature{}, &SumError{What: path, Want: request.SHA256, Got: signature.SHA256}
	}
	return signature, err
}

// discard removes a file and its signature, and what is known of them.
func discard(path string) error {
	return removeAll(path, path+recordSuffix, path+".asc", path+".asc"+recordSuffix)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
