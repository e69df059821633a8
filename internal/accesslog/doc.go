// Package accesslog reads what nginx writes: the access log in any log_format, and the error log,
// live across rotation.
//
// [Compile] turns a log_format into a [Format], whose lines become a [Record]; a [Scanner] reads blocks of
// them and [ReadFiles] sets of files, in parallel; [Tail] counts the end of a file. A [Follower] hands over
// the lines of one file as they come, whatever rotates it; its [Position] is stored with what was counted,
// so that a crash counts nothing twice. An [ErrorReader] puts the entries of
// an error log together, [ClassOf] tells what they complain of in words that are the same for every
// version of nginx.
//
// Files are opened for reading only.
package accesslog
