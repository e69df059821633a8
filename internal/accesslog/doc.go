// Package accesslog reads what nginx writes: the access log in any log_format, and the error log,
// live across rotation.
//
// [Compile] turns a log_format into a matcher, a [Follower] hands over the lines of one file as
// they come, [Tail] counts the end of a file, [ParseErrorLine] and [ParseExit] understand the error
// log. Only the follower and Tail open files, and they open them for reading only.
package accesslog
