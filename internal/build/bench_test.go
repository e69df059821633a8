package build_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"graft/internal/artifact"
	"graft/internal/build"
	"graft/internal/build/buildtest"
)

// BenchmarkBuild compares a cold build, from the tarball to the stored artifact, with what a person does in
// the same run with the same arguments: tar, configure, make -jN, make install. The goal is a ratio of
// 1.05 at most; and a build of what was built before in less than 300 ms.
func BenchmarkBuild(b *testing.B) {
	tree := buildtest.OpenRestyTree(b)
	b.Setenv("C_INCLUDE_PATH", tree.Headers)
	b.Setenv("LIBRARY_PATH", tree.Libraries)
	tarball := filepath.Join(b.TempDir(), "openresty-1.21.4.1.tar.gz")
	run(b, "", "tar", "-czf", tarball, "-C", filepath.Dir(tree.Dir), filepath.Base(tree.Dir))
	like := debian12(b)
	for i, arg := range like.Configure {
		if strings.HasPrefix(arg, "--with-ld-opt=") {
			like.Configure[i] += " -Wl,-rpath," + tree.Libraries
		}
	}
	var byHand, cold, warm []time.Duration
	for b.Loop() {
		r := build.Request{Like: like, Loaded: []build.Loaded{}, Source: tarball, CacheDir: b.TempDir()}
		planned, err := build.Plan(b.Context(), r)
		if err != nil {
			b.Fatal(err)
		}
		byHand = append(byHand, buildByHand(b, tarball, planned.Configure))

		store, err := artifact.Open(b.TempDir())
		if err != nil {
			b.Fatal(err)
		}
		for _, took := range []*[]time.Duration{&cold, &warm} {
			began := time.Now()
			res, err := build.Build(b.Context(), r, store, nil)
			if err != nil {
				b.Fatal(err)
			}
			if res.Cached != (took == &warm) {
				b.Fatalf("built before: %v", res.Cached)
			}
			*took = append(*took, time.Since(began))
		}
	}
	median := func(list []time.Duration) float64 {
		slices.Sort(list)
		return list[len(list)/2].Seconds()
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(byHand), "by-hand-s")
	b.ReportMetric(median(cold), "cold-s")
	b.ReportMetric(median(cold)/median(byHand), "cold/by-hand")
	b.ReportMetric(median(warm)*1000, "warm-ms")
}

func buildByHand(b *testing.B, tarball string, configure []string) time.Duration {
	b.Helper()
	dir := b.TempDir()
	// The paths header is graft's own; by hand nginx gets OpenResty's prefix.
	args := slices.Clone(configure)
	for i := range args {
		args[i] = strings.Replace(args[i], "-include graft-paths.h", "", 1)
	}
	jobs, err := exec.Command("nproc").Output()
	if err != nil {
		b.Fatal(err)
	}
	j := "-j" + strings.TrimSpace(string(jobs))
	if _, err := strconv.Atoi(j[2:]); err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	run(b, "", "tar", "-xzf", tarball, "-C", dir)
	top := filepath.Join(dir, "openresty")
	run(b, top, "./configure", append(args, j)...)
	run(b, top, "make", j)
	run(b, top, "make", "install", "DESTDIR="+filepath.Join(dir, "installed"))
	return time.Since(began)
}

func run(b *testing.B, dir, name string, args ...string) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%s: %v: %s", name, err, out)
	}
}
