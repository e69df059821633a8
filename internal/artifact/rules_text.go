package artifact

import (
	"fmt"
	"io/fs"
	"path"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// printable quotes text that would not show as it is.
func printable(text string) string {
	if text != "" && firstOdd(text) < 0 {
		return text
	}
	return strconv.QuoteToGraphic(text)
}

// firstOdd is the index of the first byte that is no printable UTF-8 character; -1: there is none.
// Control and format characters can rewrite what a terminal shows of an artifact, and bytes that are
// not UTF-8 do not survive JSON: two names would become one.
func firstOdd(text string) int {
	for i, r := range text {
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(text[i:]); size == 1 {
				return i
			}
		}
		if !unicode.IsPrint(r) {
			return i
		}
	}
	return -1
}

// checkText looks at every string of the manifest, in whatever field.
func (m Manifest) checkText() error {
	if m.Built != "" {
		if _, err := time.Parse(time.RFC3339, m.Built); err != nil {
			return refuse("built", RuleText, "%s is not a time (RFC 3339)", printable(m.Built))
		}
	}
	if strings.TrimSpace(m.Name) == "" {
		return refuse("name", RuleText, "it is empty")
	}
	return walkStrings("", reflect.ValueOf(m), checkString)
}

// cleanText makes every string of the manifest printable, files' names apart: what the old binary says
// of itself must not keep graft from storing it, least of all on the way back.
func (m *Manifest) cleanText() {
	// It cannot fail: visit never does.
	_ = walkStrings("", reflect.ValueOf(m), func(field, text string) (string, error) {
		return strings.Map(func(r rune) rune {
			if firstOdd(asShown(field, string(r))) >= 0 {
				return utf8.RuneError
			}
			return r
		}, text), nil
	})
}

func checkString(field, text string) (string, error) {
	if i := firstOdd(asShown(field, text)); i >= 0 {
		return text, refuse(field, RuleText, "a character that is not printable, at byte %d of %s", i, printable(text))
	}
	return text, nil
}

// asShown allows in configure arguments what somebody typed there once.
func asShown(field, text string) string {
	if strings.HasPrefix(field, "build.configure") || strings.HasPrefix(field, "flags") {
		return strings.NewReplacer("\t", " ", "\n", " ").Replace(text)
	}
	return text
}

// walkStrings lets visit see every string below v, and replace it where v is settable. Of files it
// shows nothing: paths and links have rules of their own, which say more.
func walkStrings(field string, v reflect.Value, visit func(field, text string) (string, error)) error {
	switch v.Kind() {
	case reflect.String:
		text, err := visit(field, v.String())
		if v.CanSet() {
			v.SetString(text)
		}
		return err
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			return walkStrings(field, v.Elem(), visit)
		}
	case reflect.Slice, reflect.Array:
		if field == "files" {
			return nil
		}
		for i := range v.Len() {
			if err := walkStrings(fmt.Sprintf("%s[%d]", field, i), v.Index(i), visit); err != nil {
				return err
			}
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			if _, err := visit(field, key.String()); err != nil {
				return err
			}
			if err := walkStrings(field+"."+key.String(), v.MapIndex(key), visit); err != nil {
				return err
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			if err := walkStrings(strings.TrimPrefix(field+"."+name, "."), v.Field(i), visit); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkName checks a path in the tree. entry is what the error names.
func checkName(entry, name string) *RefusedError {
	switch {
	case name == "" || name == ".":
		return refuse(entry, RuleName, "it is empty")
	case len(name) > maxName:
		return refuse(entry[:min(len(entry), 60)]+"…", RuleName, "it is %d bytes long, %d are allowed", len(name), maxName)
	case strings.Contains(name, "\x00"):
		return refuse(entry, RuleName, "it has a NUL byte")
	case firstOdd(name) >= 0:
		return refuse(entry, RuleName, "it is not printable UTF-8")
	case path.IsAbs(name):
		return refuse(entry, RuleName, "it is absolute")
	case name == ".." || strings.HasPrefix(name, "../") || strings.Contains(name, "/../") || strings.HasSuffix(name, "/.."):
		return refuse(entry, RuleName, "it leads out of its directory")
	case !fs.ValidPath(name):
		return refuse(entry, RuleName, "it is not clean: empty parts, dots, or a slash at its end")
	}
	for part := range strings.SplitSeq(name, "/") {
		if len(part) > maxPart {
			return refuse(entry, RuleName, "a part of it is %d bytes long, %d are allowed", len(part), maxPart)
		}
	}
	return nil
}
