package artifact

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// jsonSchema is the part of JSON Schema that docs/manifest.schema.json uses. A keyword that is not here
// fails the reading, so that none is silently without effect.
type jsonSchema struct {
	Schema      string                 `json:"$schema"`
	Title       string                 `json:"title"`
	Description string                 `json:"description"`
	Defs        map[string]*jsonSchema `json:"$defs"`

	Ref        string                 `json:"$ref"`
	Type       string                 `json:"type"`
	Const      any                    `json:"const"`
	Enum       []any                  `json:"enum"`
	Pattern    string                 `json:"pattern"`
	MinLength  int                    `json:"minLength"`
	MaxLength  *int                   `json:"maxLength"`
	Minimum    *float64               `json:"minimum"`
	Maximum    *float64               `json:"maximum"`
	Items      *jsonSchema            `json:"items"`
	MaxItems   *int                   `json:"maxItems"`
	Required   []string               `json:"required"`
	Properties map[string]*jsonSchema `json:"properties"`
	Additional *bool                  `json:"additionalProperties"`
}

func manifestSchema(t *testing.T) *jsonSchema {
	t.Helper()
	text, err := os.ReadFile("../../docs/manifest.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	var s jsonSchema
	if err := d.Decode(&s); err != nil {
		t.Fatal(err)
	}

	return &s
}

// meant follows $ref.
func (s *jsonSchema) meant(root *jsonSchema) *jsonSchema {
	if name, is := strings.CutPrefix(s.Ref, "#/$defs/"); is && root.Defs[name] != nil {
		return root.Defs[name]
	}
	return s
}

// check returns what is wrong with the value.
func (s *jsonSchema) check(root *jsonSchema, at string, v any) (wrong []string) {
	if s.Ref != "" && s.meant(root) == s {
		return []string{at + ": " + s.Ref + " leads nowhere"}
	}
	s = s.meant(root)
	say := func(format string, args ...any) { wrong = append(wrong, at+": "+fmt.Sprintf(format, args...)) }
	if s.Const != nil && s.Const != v {
		say("%v is not %v", v, s.Const)
	}
	if s.Enum != nil && !slices.Contains(s.Enum, v) {
		say("%v is none of %v", v, s.Enum)
	}
	if is := kindOf(v); s.Type != "" && s.Type != is && !(s.Type == "number" && is == "integer") {
		say("is %s, not %s", is, s.Type)
		return wrong
	}
	switch v := v.(type) {
	case string:
		if len(v) < s.MinLength || s.MaxLength != nil && len(v) > *s.MaxLength || !regexp.MustCompile(s.Pattern).MatchString(v) {
			say("%q is too short, too long, or not like %q", v, s.Pattern)
		}
	case float64:
		if s.Minimum != nil && v < *s.Minimum || s.Maximum != nil && v > *s.Maximum {
			say("%v is out of range", v)
		}
	case []any:
		if s.MaxItems != nil && len(v) > *s.MaxItems {
			say("%d items", len(v))
		}
		for i, item := range v {
			wrong = append(wrong, s.Items.check(root, fmt.Sprintf("%s[%d]", at, i), item)...)
		}
	case map[string]any:
		for _, key := range s.Required {
			if _, is := v[key]; !is {
				say("%s is missing", key)
			}
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			switch property, known := s.Properties[key]; {
			case known:
				wrong = append(wrong, property.check(root, at+"."+key, v[key])...)
			case s.Additional != nil && !*s.Additional:
				say("unknown key %s", key)
			}
		}
	}
	return wrong
}

func kindOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return "string"
	case bool:
		return "boolean"
	case float64:
		if v == float64(int64(v)) {
			return "integer"
		}
		return "number"
	case []any:
		return "array"
	}
	return "object"
}

func TestRealManifestsKeepToTheSchema(t *testing.T) {
	schema := manifestSchema(t)
	s, _ := freshStore(t)
	binary, err := s.PutBinary(t.Context(), "/bin/true", sampleBuild())
	if err != nil {
		t.Fatal(err)
	}
	full, err := putChanged(t, s, func(_ string, m *Manifest) error {
		m.Debug = "debug/nginx.debug"
		m.Modules = []Module{{Name: "ngx_http_lua_module", Source: "bundled", Reason: "loaded"}, {Name: "m", File: luaA}}
		m.Source.Signature = &Signature{Status: SignatureGood, Fingerprint: strings.Repeat("A", 40), Created: "2026-01-01T00:00:00Z", Hash: "SHA-256"}
		m.Source.Packages = []string{"nginx 1.22.1"}
		m.Flags = append(m.Flags, Flag{Flag: "a", Action: Rewrite, To: "b", Reason: "c"})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []Artifact{binary, hostArtifactIn(t, s), full} {
		text, err := os.ReadFile(a.Dir + "/" + manifestName)
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if err := json.Unmarshal(text, &v); err != nil {
			t.Fatal(err)
		}
		for _, wrong := range schema.check(schema, "manifest", v) {
			t.Errorf("%s: %s", a.Manifest.Name, wrong)
		}
	}
}

func TestTheSchemaRefusesWhatIsNoManifest(t *testing.T) {
	schema := manifestSchema(t)
	text := honest(t).encoded()
	for from, to := range map[string]string{
		`"schema": 1`:        `"schema": 2`,
		`"name":`:            `"nom":`,
		`"action": "keep"`:   `"action": "obey"`,
		`"path": "debug/`:    `"path": "/debug/`,
		`"mode": 420`:        `"mode": 2541`,
		`"size": 7`:          `"size": -7`,
		`"flags": [`:         `"flags": null, "x": [`,
		`"kind": "tarball",`: ``,
	} {
		if !bytes.Contains(text, []byte(from)) {
			t.Fatalf("no %s in the manifest", from)
		}
		var v any
		if err := json.Unmarshal(bytes.Replace(text, []byte(from), []byte(to), 1), &v); err != nil {
			t.Fatal(err)
		}
		if len(schema.check(schema, "manifest", v)) == 0 {
			t.Errorf("%s instead of %s is right by the schema", to, from)
		}
	}
}

// What the schema promises before the program keeps it.
var reserved = []string{"manifest.elf"}

func TestTheSchemaHasEveryFieldOfTheManifestAndNoOther(t *testing.T) {
	schema := manifestSchema(t)
	var compare func(at string, s *jsonSchema, typ reflect.Type)
	compare = func(at string, s *jsonSchema, typ reflect.Type) {
		s = s.meant(schema)
		switch typ.Kind() {
		case reflect.Pointer:
			compare(at, s, typ.Elem())
		case reflect.Slice:
			if s.Type != "array" || s.Items == nil {
				t.Errorf("%s is a list; the schema says %q", at, s.Type)
				return
			}
			compare(at+"[]", s.Items, typ.Elem())
		case reflect.Struct:
			if s.Type == "object" && s.Properties == nil {
				return // described elsewhere
			}
			known := map[string]bool{}
			for i := range typ.NumField() {
				name, options, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
				known[name] = true
				property, is := s.Properties[name]
				if !is {
					t.Errorf("%s.%s is not in the schema", at, name)
					continue
				}
				if optional := strings.Contains(options, "omit"); optional == slices.Contains(s.Required, name) {
					t.Errorf("%s.%s: required by the schema and optional here, or the reverse", at, name)
				}
				compare(at+"."+name, property, typ.Field(i).Type)
			}
			for name := range s.Properties {
				if !known[name] && !slices.Contains(reserved, at+"."+name) {
					t.Errorf("%s.%s is in the schema and nowhere else", at, name)
				}
			}
		case reflect.String:
			if s.Type != "string" && s.Enum == nil {
				t.Errorf("%s is text; the schema says %q", at, s.Type)
			}
		default:
			if s.Type != "integer" && s.Const == nil {
				t.Errorf("%s is a number; the schema says %q", at, s.Type)
			}
		}
	}
	compare("manifest", schema, reflect.TypeFor[Manifest]())
}
