package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/klauspost/compress/gzip"

	"graft/internal/accesslog"
	"graft/internal/report"
)

// readErrorLogs counts the entries of error logs for each period, those of no period left out.
func readErrorLogs(files []string, spans []stretch) ([]*report.ErrorLog, error) {
	logs := make([]*report.ErrorLog, len(spans))
	for i := range logs {
		logs[i] = new(report.ErrorLog)
	}
	for _, name := range files {
		err := readErrorLog(name, func(l accesslog.ErrorLine) {
			for i, span := range spans {
				if span.holds(l.Time) {
					logs[i].Add(l)
					return
				}
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return logs, nil
}

// readErrorLog hands over the entries of a plain or gzip file. One without a single entry is told: it is no error log.
func readErrorLog(name string, fn func(accesslog.ErrorLine)) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	in := bufio.NewReaderSize(file, 256<<10)
	if head, err := in.Peek(2); err == nil && isGzip(head) {
		z, err := gzip.NewReader(in)
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		in = bufio.NewReaderSize(z, 256<<10)
	}
	entries := 0
	reader := accesslog.NewErrorReader(func(l accesslog.ErrorLine) {
		entries++
		fn(l)
	})
	for {
		line, err := in.ReadSlice('\n')
		if n := len(line); n > 0 && line[n-1] == '\n' {
			line = line[:n-1]
		}
		if len(line) > 0 {
			reader.Add(line, time.Time{})
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return fmt.Errorf("read %s: %w", name, err)
		}
	}
	reader.Flush()
	if entries == 0 && reader.Foreign() > 0 {
		return failf(CodeFailed, "--error-log takes what error_log writes", "%s has %d lines, none of which is one of nginx's error log", name, reader.Foreign())
	}
	return nil
}
