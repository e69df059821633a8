package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"time"
)

// worthKeeping is how much an attempt must bring for the next to be the first again: a server that
// sends a little and hangs up must not hold graft for days.
const worthKeeping = 256 << 10

// attempt asks for what is missing, once. It gained something if more is there than ever before.
func (d *download) attempt(ctx context.Context) (gained bool, err error) {
	before := d.reached
	err = d.ask(ctx)
	return d.reached-before >= worthKeeping, err
}

func (d *download) ask(ctx context.Context) error {
	if d.size > 0 && d.size == d.record.Length {
		return nil // an earlier run ended just before it could say so
	}
	watched, watch := newWatch(ctx, d.Stall)
	defer watch.stop()
	req, err := d.question(watched)
	if err != nil {
		return err
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return networkError(watched, err, d.Stall)
	}
	defer resp.Body.Close()
	watch.alive()
	switch resp.StatusCode {
	case http.StatusOK:
		err = d.takeWhole(resp)
	case http.StatusPartialContent:
		err = d.takeRest(resp)
	case http.StatusRequestedRangeNotSatisfiable:
		err = d.changed("the server has less of it than lies here")
	case http.StatusNotModified:
		if d.kept.validator() == "" || d.size > 0 {
			return passingf("the server answers %d to a question that was not asked", resp.StatusCode)
		}
		d.unchanged = true
		return nil
	default:
		err = statusError(resp, d.url, d.NotThere, time.Now())
	}
	if err != nil {
		return err
	}
	return d.take(watched, aliveReader{resp.Body, watch})
}

func (d *download) question(ctx context.Context) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Accept-Encoding", "identity")
	switch {
	case d.size > 0:
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", d.size))
		if v := d.record.validator(); v != "" {
			req.Header.Set("If-Range", v)
		}
	case d.kept.ETag != "":
		req.Header.Set("If-None-Match", d.kept.ETag)
	case d.kept.LastModified != "":
		req.Header.Set("If-Modified-Since", d.kept.LastModified)
	}
	return req, nil
}

// takeWhole prepares for a body that is the whole file.
func (d *download) takeWhole(resp *http.Response) error {
	if d.size > 0 {
		d.Log.Info("the server sends the whole file, starting anew", "url", d.url.Redacted(), "had", d.size)
		if err := d.startAnew(); err != nil {
			return err
		}
	}
	framed := resp.ContentLength >= 0 || len(resp.TransferEncoding) > 0 || resp.ProtoMajor >= 2
	if !framed && d.SHA256 == "" {
		return errors.New("the server says neither how long the file is nor where it ends, so a part of it would pass for the whole; give its --sha256, or another --mirror")
	}
	d.record = recordOf(d.url.Redacted(), resp)
	if err := d.fits(d.record.Length); err != nil {
		return err
	}
	return d.record.save(d.path + partSuffix + recordSuffix)
}

var contentRange = regexp.MustCompile(`^bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})$`)

// takeRest prepares for a body that is the rest of the file, if that is what it is.
func (d *download) takeRest(resp *http.Response) error {
	m := contentRange.FindStringSubmatch(resp.Header.Get("Content-Range"))
	if d.size == 0 || m == nil {
		return d.changed("the server sends a part that was not asked for")
	}
	var n [3]int64
	for i := range n {
		n[i], _ = strconv.ParseInt(m[i+1], 10, 64) // at most 18 digits
	}
	first, last, total := n[0], n[1], n[2]
	switch {
	case first != d.size || last != total-1 || resp.ContentLength >= 0 && resp.ContentLength != total-first:
		return d.changed("the server sends another part than was asked for")
	case d.record.Length >= 0 && total != d.record.Length || !d.record.sameAs(resp):
		return d.changed("the file is another one now")
	}
	d.record.Length, d.stitched = total, true
	return d.fits(total)
}

// changed starts anew with the next attempt.
func (d *download) changed(reason string) error {
	if err := d.startAnew(); err != nil {
		return err
	}
	return passingf("%s, so what was downloaded cannot be used", reason)
}

func (d *download) fits(length int64) error {
	if length > d.MaxBytes {
		return fmt.Errorf("%w: it has %d bytes, and at most %d are taken; check the URL", ErrTooLarge, length, d.MaxBytes)
	}
	return nil
}

// take appends the body to the part.
func (d *download) take(ctx context.Context, body io.Reader) error {
	d.Progress(d.size, d.record.Length)
	buf := make([]byte, 64<<10)
	for {
		n, err := body.Read(buf)
		if n > 0 {
			if d.size+int64(n) > d.MaxBytes {
				return errors.Join(fmt.Errorf("%w: more than %d bytes came; check the URL", ErrTooLarge, d.MaxBytes), d.startAnew())
			}
			if _, err := d.part.Write(buf[:n]); err != nil {
				return fmt.Errorf("%w; make room there and try again", err)
			}
			d.size += int64(n)
			d.reached = max(d.reached, d.size)
			d.Progress(d.size, d.record.Length)
		}
		switch {
		case errors.Is(err, io.EOF) && (d.record.Length < 0 || d.size == d.record.Length):
			d.record.Length = d.size
			return nil
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF) && context.Cause(ctx) == nil:
			return passingf("the connection ended after %d of %s", d.size, bytesWord(d.record.Length))
		case err != nil:
			return networkError(ctx, err, d.Stall)
		}
	}
}

func bytesWord(n int64) string {
	if n < 0 {
		return "an unknown number of bytes"
	}
	return strconv.FormatInt(n, 10) + " bytes"
}
