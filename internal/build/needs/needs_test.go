package needs

import (
	"testing"

	"graft/internal/build/job"
	"graft/internal/build/source"
)

var debian12 = source.ParseOSRelease("ID=debian\nVERSION_ID=12\n")

// predict runs the whole prediction on this machine.
func predict(t *testing.T, q Query) Prediction {
	t.Helper()
	p, err := Predict(t.Context(), job.Silent(), q, debian12)
	if err == nil {
		p, err = p.Verify(t.Context(), job.Silent())
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestTmp(t *testing.T) {
	p := predict(t, Query{Layout: source.LayoutOpenResty, Nginx: "1.21.4", PCRE1: true, Configure: []string{"--with-http_image_filter_module=dynamic", "--with-http_xslt_module", "--with-http_perl_module"}})
	for _, d := range p.Dependencies {
		t.Logf("%+v", d)
	}
	t.Log(p.Missing(), p.Notes)
}
func BenchmarkPredict(b *testing.B) {
	q := Query{Layout: source.LayoutOpenResty, Nginx: "1.21.4", PCRE1: true, Configure: []string{"--with-http_xslt_module"}}
	for b.Loop() {
		Predict(b.Context(), job.Silent(), q, debian12)
	}
}
func BenchmarkVerify(b *testing.B) {
	q := Query{Layout: source.LayoutOpenResty, Nginx: "1.21.4", PCRE1: true, Configure: []string{"--with-http_xslt_module"}}
	p, _ := Predict(b.Context(), job.Silent(), q, debian12)
	for b.Loop() {
		p.Verify(b.Context(), job.Silent())
	}
}
