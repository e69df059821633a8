// Package accesslog reads what nginx writes: the access log in any log_format, and the error log,
// live across rotation.
//
// [Compile] turns a log_format into a [Format], whose lines become a [Record]; a [Scanner] reads blocks of
// them and [ReadFiles] sets of files, in parallel. A [Follower] hands over the lines of one file as
// they come, [Tail] counts the end of a file, [ParseErrorLine] and [ParseExit] understand the error
// log. Files are opened for reading only.
package accesslog
