package fetch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"time"

	"graft/internal/durable"
)

const (
	partSuffix   = ".part"
	recordSuffix = ".fetch.json"
)

// record says what a file in the directory is, so that a later run can go on with it or keep it.
type record struct {
	URL          string `json:"url"`
	ETag         string `json:"etag,omitempty"`          // strong ones only
	LastModified string `json:"last_modified,omitempty"` // only where it can serve as a strong validator
	Length       int64  `json:"length"`                  // of the whole file; -1: the server did not say
	SHA256       string `json:"sha256,omitempty"`        // of a whole file
	Boot         string `json:"boot,omitempty"`          // the kernel's id of the boot in which it was written
}

func recordOf(url string, resp *http.Response) record {
	r := record{URL: url, Length: resp.ContentLength, Boot: bootID()}
	if tag := resp.Header.Get("ETag"); strings.HasPrefix(tag, `"`) && len(tag) <= 512 {
		r.ETag = tag
	}
	modified, err := http.ParseTime(resp.Header.Get("Last-Modified"))
	date, dateErr := http.ParseTime(resp.Header.Get("Date"))
	// RFC 9110, 8.8.2.2: within the second of its change a file may change again unseen.
	if err == nil && dateErr == nil && date.Sub(modified) >= time.Second {
		r.LastModified = resp.Header.Get("Last-Modified")
	}
	return r
}

// validator is what If-Range takes; empty when nothing tells this version of the file from others.
func (r record) validator() string {
	if r.ETag != "" {
		return r.ETag
	}
	return r.LastModified
}

// sameAs tells whether resp is about the same version of the file, as far as both say.
func (r record) sameAs(resp *http.Response) bool {
	other := recordOf(r.URL, resp)
	if r.ETag != "" && other.ETag != "" {
		return r.ETag == other.ETag
	}
	return r.LastModified == "" || other.LastModified == "" || r.LastModified == other.LastModified
}

// loadRecord returns the zero record when there is none or it cannot be used: then nothing is kept.
func loadRecord(path, url string) (record, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return record{}, nil
	}
	if err != nil {
		return record{}, fmt.Errorf("read what an earlier download left: %w", err)
	}
	var r record
	if json.Unmarshal(data, &r) != nil || r.URL != url {
		return record{}, nil
	}
	return r, nil
}

func (r record) save(path string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return durable.Replace("download-record", path, bytes.NewReader(append(data, '\n')), durable.Private(0o644))
}

// bootID is empty where the kernel does not tell.
func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}
