package accesslog

import (
	"regexp"
	"strconv"
	"strings"
	"syscall"
)

// namelessErrno is what an old nginx writes that was compiled with a C library which no longer tells
// how many error numbers there are (glibc 2.32): its configure counts to the first gap, on Linux to
// 41, and from there on none has a name.
var namelessErrno = regexp.MustCompile(`\((\d{1,4}): Unknown error\)`)

// withErrnoNames gives such error numbers their names, as other builds write them.
func withErrnoNames(template string) string {
	if !strings.Contains(template, ": Unknown error)") {
		return template
	}
	return namelessErrno.ReplaceAllStringFunc(template, func(s string) string {
		digits := namelessErrno.FindStringSubmatch(s)[1]
		n, err := strconv.Atoi(digits)
		if err != nil || n >= 512 { // the kernel's own, which no program sees
			return s
		}
		name := syscall.Errno(n).Error()
		if strings.HasPrefix(name, "errno ") {
			return s
		}
		return "(" + digits + ": " + strings.ToUpper(name[:1]) + name[1:] + ")"
	})
}
