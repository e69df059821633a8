package accesslog

import "strings"

// sslLength is the length of "(SSL: error:0A00006C:SSL routines::bad key share …)" that text begins
// with, else 0. OpenSSL's texts may have parentheses of their own, in pairs.
func sslLength(text string) int {
	if !strings.HasPrefix(text, "(SSL:") {
		return 0
	}
	depth := 0
	for i := range len(text) {
		switch text[i] {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(text)
}

// sslReason is the reason of the first error in OpenSSL's queue, which is the cause of the others:
//
//	error:141F7065:SSL routines:final_key_share:no suitable key share   OpenSSL 1.1.1
//	error:0A000065:SSL routines::no suitable key share                  OpenSSL 3
//	error:10000065:SSL routines:OPENSSL_internal:NO_SUITABLE_KEY_SHARE  BoringSSL
//
// Its number, library and function are left out, as they changed, and so is the data behind it.
func sslReason(text string) string {
	text = strings.Trim(strings.TrimPrefix(text, "(SSL:"), " )")
	_, first, found := strings.Cut(text, "error:")
	if !found {
		return mask(text, variesInNginx)
	}
	first, _, _ = strings.Cut(first, " error:")
	fields := strings.SplitN(first, ":", 5)
	if len(fields) < 4 {
		return mask(fields[len(fields)-1], variesInNginx)
	}
	reason := fields[3]
	if reason == strings.ToUpper(reason) { // BoringSSL's
		reason = strings.ReplaceAll(strings.ToLower(reason), "_", " ")
	}
	if newer, ok := sslReasons[reason]; ok {
		reason = newer
	}
	if alert, ok := strings.CutPrefix(reason, "sslv3 alert "); ok { // until OpenSSL 3.1
		reason = "ssl/tls alert " + alert
	}
	return reason
}

// sslReasons are reasons that OpenSSL has renamed.
var sslReasons = map[string]string{
	"unknown protocol": "unsupported protocol", // 1.1.0: SSL23_GET_CLIENT_HELLO is gone
	"parse tlsext":     "bad extension",        // 1.1.1
}
