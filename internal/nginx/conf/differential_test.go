package conf

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// lot is how many samples are laid out, and tried together, at a time.
const lot = 64

// search compares our reading of generated and mutated configurations with nginx's.
type search struct {
	judge
	t                            *testing.T
	seed                         int
	lua                          bool
	accepted, refused, said, ran atomic.Int64
}

// trial is one sample, laid out.
type trial struct {
	sample
	n   int
	dir string
	err error // of our own reading
}

// TestDifferential: what nginx takes we take, what we refuse it refuses in the same words at the same
// place. Set GRAFT_CONF_CASES and GRAFT_CONF_SEED for a longer search.
func TestDifferential(t *testing.T) {
	s := &search{judge: newModulesJudge(t), t: t}
	s.run(envInt(t, "GRAFT_CONF_CASES", 10_000))
}

// TestDifferentialLua is the same for the blocks that lua-nginx-module reads.
func TestDifferentialLua(t *testing.T) {
	s := &search{judge: newLuaJudge(t), t: t, lua: true}
	s.run(envInt(t, "GRAFT_CONF_CASES", 10_000) / 10)
}

func (s *search) run(cases int) {
	s.seed = envInt(s.t, "GRAFT_CONF_SEED", 1)
	var next atomic.Int64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		dir, err := os.MkdirTemp(s.dir, "lot")
		if err != nil {
			s.t.Fatal(err)
		}
		workers.Go(func() {
			for {
				from := int(next.Add(lot)) - lot
				if from >= cases {
					return
				}
				if err := s.lot(dir, from, min(cases, from+lot)); err != nil {
					s.t.Errorf("seed %d, samples from %d: %v", s.seed, from, err)
					next.Store(math.MaxInt32)
				}
			}
		})
	}
	workers.Wait()
	accepted, refused := int(s.accepted.Load()), int(s.refused.Load())
	s.t.Logf("%d samples in %d runs of nginx: it took %d, refused %d for their syntax, %d for what they say", cases, s.ran.Load(), accepted, refused, s.said.Load())
	if accepted+refused+int(s.said.Load()) != cases {
		s.t.Errorf("some of the %d samples were not judged", cases)
	}
	if accepted < cases/5 || refused < cases/10 {
		s.t.Errorf("the generator proves little: %d taken, %d refused of %d", accepted, refused, cases)
	}
}

// lot judges samples. Those that we take are included together in one configuration, so that nginx
// need not be started for each.
func (s *search) lot(dir string, from, to int) error {
	var together []*trial
	for n := from; n < to; n++ {
		tr := &trial{sample: generate(s.seed, n, s.lua), n: n, dir: filepath.Join(dir, strconv.Itoa(n))}
		if err := tr.layOut(); err != nil {
			return err
		}
		opts, args, err := s.alone(tr)
		if err != nil {
			return err
		}
		if _, tr.err = Load(opts); tr.err == nil && (tr.place == "http" || tr.place == "stream" || tr.place == "mail") {
			together = append(together, tr)
			continue
		}
		v, err := s.start(opts.File, args...)
		if err != nil {
			return err
		}
		s.verdict(tr, v)
	}
	if err := s.together(dir, together); err != nil {
		return err
	}
	for n := from; n < to; n++ {
		if err := os.RemoveAll(filepath.Join(dir, strconv.Itoa(n))); err != nil {
			return err
		}
	}
	return nil
}

func (tr *trial) layOut() error {
	if err := os.Mkdir(tr.dir, 0o755); err != nil {
		return err
	}
	fill := func(text string) []byte { return []byte(strings.ReplaceAll(text, "@", tr.dir)) }
	for name, text := range tr.files {
		if err := os.WriteFile(filepath.Join(tr.dir, name), fill(text), 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(tr.dir, "body"), fill(tr.body), 0o644)
}

// alone writes a configuration for one sample, and gives nginx's arguments for it.
func (s *search) alone(tr *trial) (opts Options, args []string, err error) {
	opts.File = filepath.Join(tr.dir, "main")
	if tr.place == "-g" {
		opts.Global = strings.ReplaceAll(tr.body, "@", tr.dir)
		return opts, []string{"-g", opts.Global}, s.main(opts.File, nil)
	}
	return opts, nil, s.main(opts.File, []*trial{tr})
}

// main writes a configuration that includes samples in their places.
func (s *search) main(file string, trials []*trial) error {
	at := func(place string) string {
		var b strings.Builder
		for _, tr := range trials {
			if tr.place == place {
				fmt.Fprintf(&b, "include %s/body;\n", tr.dir)
			}
		}
		return b.String()
	}
	var b strings.Builder
	b.WriteString(s.load + at("main") + "events { }\nhttp {\n" + s.http + "\n" + at("http") + "}\n")
	if included := at("stream"); included != "" {
		b.WriteString("stream {\n" + included + "}\n")
	}
	if included := at("mail"); included != "" {
		b.WriteString("mail {\nauth_http 127.0.0.1:1/;\n" + included + "}\n")
	}
	return os.WriteFile(file, []byte(b.String()), 0o644)
}

// start runs nginx -t on a conf file.
func (s *search) start(file string, args ...string) (verdict, error) {
	s.ran.Add(1)
	j := s.judge
	j.conf = file
	out, ok, err := j.try(s.t.Context(), append(args, "-t")...)
	return verdictOf(out, ok), err
}

// verdict counts what nginx says of one sample, and compares it with what we say.
func (s *search) verdict(tr *trial, v verdict) {
	switch {
	case v.ok:
		s.accepted.Add(1)
	case syntactic.MatchString(v.msg):
		s.refused.Add(1)
	default:
		s.said.Add(1)
	}
	if err := s.agree(v, tr.err); err != nil {
		s.t.Errorf("seed %d, sample %d (%s): %.1500v\n%.3000q\n%.3000q", s.seed, tr.n, tr.place, err, tr.body, tr.files)
	}
}

// culprit finds the sample in a message.
var culprit = regexp.MustCompile(`/lot[0-9]+/([0-9]+)/`)

// together judges samples that we take. Where nginx refuses one for what it says it is taken out; a
// refusal that names none is narrowed down.
func (s *search) together(dir string, trials []*trial) error {
	for len(trials) > 0 {
		file := filepath.Join(dir, "main")
		if err := s.main(file, trials); err != nil {
			return err
		}
		v, err := s.start(file)
		if err != nil {
			return err
		}
		if v.ok {
			s.accepted.Add(int64(len(trials)))
			return s.sameFiles(file)
		}
		if len(trials) == 1 {
			s.verdict(trials[0], v)
			return nil
		}
		at := -1
		if m := culprit.FindStringSubmatch(v.file); m != nil {
			at = slices.IndexFunc(trials, func(tr *trial) bool { return strconv.Itoa(tr.n) == m[1] })
		}
		if at < 0 {
			half := len(trials) / 2
			return errors.Join(s.together(dir, trials[:half]), s.together(dir, trials[half:]))
		}
		s.verdict(trials[at], v)
		trials = slices.Delete(trials, at, at+1)
	}
	return nil
}

// sameFiles compares what we read with what nginx read.
func (s *search) sameFiles(file string) error {
	c, err := Load(Options{File: file})
	if err != nil {
		return fmt.Errorf("we take each, not all together: %w", err)
	}
	s.ran.Add(1)
	j := s.judge
	j.conf = file
	dump, err := j.tryDump(s.t.Context())
	if err != nil {
		return err
	}
	return c.CompareDump(dump)
}

func envInt(t *testing.T, name string, otherwise int) int {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}
