package report

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"time"
)

//go:embed assets
var assets embed.FS

// HTML writes the report as one page that reaches for nothing else and reads without scripts, too. What came
// from logs is escaped by html/template; should that ever fail, the page's own policy lets no script run but
// the two that are part of graft.
func (r *Report) HTML(w io.Writer) error {
	page, err := template.New("page.html").Funcs(template.FuncMap{
		"thousands": thousands, "percent": percent, "millis": millis,
		"clock":     clock,
		"step":      func(at int64) string { return clock(time.Unix(at, 0)) },
		"printable": func(s string) string { return Printable(s, 500) },
		"groupList": func(list []Group, two bool) map[string]any { return map[string]any{"List": list, "Two": two} },
	}).ParseFS(assets, "assets/page.html")
	if err != nil {
		return fmt.Errorf("read the page's template: %w", err)
	}
	library, draw := asset("uPlot.iife.min.js"), asset("plots.js")
	policy := fmt.Sprintf("default-src 'none'; style-src 'unsafe-inline'; script-src '%s' '%s'; base-uri 'none'; form-action 'none'",
		hash(library), hash(draw))
	var out bytes.Buffer
	err = page.Execute(&out, map[string]any{
		"Report": r, "Two": len(r.Periods) == 2, "Rows": r.rows(), "Plots": r.plots(), "Policy": policy,
		"Library": template.JS(library), "Draw": template.JS(draw),
		"LibraryStyle": template.CSS(asset("uPlot.min.css")), "Style": template.CSS(asset("page.css")),
		"License": asset("uPlot-LICENSE"),
	})
	if err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	_, err = out.WriteTo(w)
	return err
}

func asset(name string) string {
	b, err := assets.ReadFile("assets/" + name)
	if err != nil {
		panic(err) // it is part of the program
	}
	return string(b)
}

// hash is how a content security policy names a script.
func hash(script string) string {
	sum := sha256.Sum256([]byte(script))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}
