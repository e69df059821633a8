package report

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// browser is a real Chromium, driven through a pair of pipes by its DevTools protocol.
type browser struct {
	t       *testing.T
	to      *os.File
	from    *bufio.Reader
	last    int
	session string
	events  []event
}

type event struct {
	ID     int             `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("chromium is not there; scripts/install-deps installs it")
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 2*time.Minute) // it is closed when the test is over
	theirIn, ourOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ourIn, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	profile := t.TempDir()
	cmd := exec.CommandContext(ctx, program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--force-color-profile=srgb",
		"--window-size=1200,900", "--remote-debugging-pipe", "--user-data-dir="+profile, "about:blank")
	cmd.Env = append(os.Environ(), "HOME="+profile)
	cmd.ExtraFiles = []*os.File{theirIn, theirOut}
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirIn.Close()
	theirOut.Close()
	b := &browser{t: t, to: ourOut, from: bufio.NewReader(ourIn)}
	t.Cleanup(func() {
		b.session = ""
		if _, err := b.try("Browser.close", nil); err != nil && !t.Failed() {
			t.Logf("close chromium: %v", err)
		}
		ourOut.Close()
		if err := cmd.Wait(); err != nil && !t.Failed() {
			t.Logf("chromium: %v\n%s", err, said.String())
		}
		cancel()
		ourIn.Close()
	})
	var target struct {
		TargetID string `json:"targetId"`
	}
	b.do("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct {
		SessionID string `json:"sessionId"`
	}
	b.do("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Network", "Log"} {
		b.do(domain+".enable", nil, nil)
	}
	return b
}

func (b *browser) do(method string, params map[string]any, result any) {
	b.t.Helper()
	raw, err := b.try(method, params)
	if err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
	if result != nil {
		if err := json.Unmarshal(raw, result); err != nil {
			b.t.Fatalf("%s: %v", method, err)
		}
	}
}

func (b *browser) try(method string, params map[string]any) (json.RawMessage, error) {
	b.last++
	call := map[string]any{"id": b.last, "method": method, "params": params}
	if params == nil {
		call["params"] = map[string]any{}
	}
	if b.session != "" {
		call["sessionId"] = b.session
	}
	text, err := json.Marshal(call)
	if err != nil {
		return nil, err
	}
	if _, err := b.to.Write(append(text, 0)); err != nil {
		return nil, err
	}
	for {
		e, err := b.next()
		if err != nil {
			return nil, err
		}
		if e.ID == b.last {
			if e.Error != nil {
				return nil, errors.New(string(e.Error))
			}
			return e.Result, nil
		}
	}
}

func (b *browser) next() (event, error) {
	text, err := b.from.ReadBytes(0)
	if err != nil {
		return event{}, fmt.Errorf("read from chromium: %w", err)
	}
	var e event
	if err := json.Unmarshal(text[:len(text)-1], &e); err != nil {
		return e, err
	}
	if e.Method != "" {
		b.events = append(b.events, e)
	}
	return e, nil
}

// open loads a file and waits until it is loaded.
func (b *browser) open(path string) {
	b.t.Helper()
	b.events = nil
	b.do("Page.navigate", map[string]any{"url": "file://" + path}, nil)
	for {
		for _, e := range b.events {
			if e.Method == "Page.loadEventFired" {
				return
			}
		}
		if _, err := b.next(); err != nil {
			b.t.Fatal(err)
		}
	}
}

// complaints are errors of scripts, what the console was told, and requests for anything but the page.
func (b *browser) complaints(page string) []string {
	var list []string
	for _, e := range b.events {
		switch e.Method {
		case "Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded", "Page.javascriptDialogOpening":
			list = append(list, e.Method+" "+string(e.Params))
		case "Network.requestWillBeSent":
			if !strings.Contains(string(e.Params), `"url":"file://`+page) {
				list = append(list, e.Method+" "+string(e.Params))
			}
		}
	}
	return list
}

// eval is what an expression comes to in the page.
func (b *browser) eval(expression string, into any) {
	b.t.Helper()
	var got struct {
		Result struct {
			Value json.RawMessage `json:"value"`
		} `json:"result"`
		Exception json.RawMessage `json:"exceptionDetails"`
	}
	b.do("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &got)
	if got.Exception != nil {
		b.t.Fatalf("%s: %s", expression, got.Exception)
	}
	if err := json.Unmarshal(got.Result.Value, into); err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
}

// screenshot writes a picture of the whole page where a variable says so: to be looked at.
func (b *browser) screenshot(name string) {
	dir := os.Getenv("GRAFT_SCREENSHOTS")
	if dir == "" {
		return
	}
	var got struct {
		Data []byte `json:"data"`
	}
	b.do("Page.captureScreenshot", map[string]any{"captureBeyondViewport": true}, &got)
	if err := os.WriteFile(dir+"/"+name+".png", got.Data, 0o644); err != nil {
		b.t.Error(err)
	}
}
