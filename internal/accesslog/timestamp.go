package accesslog

import "bytes"

// unixLocal reads $time_local, "25/Nov/2026:00:46:12 +0000", whose shape was checked; 0 if it is
// no time. It carries its offset, so that summer time needs no thought.
func unixLocal(s []byte) int64 {
	return unixTime(two(s[7:])*100+two(s[9:]), month(s[3:6]), two(s), s[12:20], s[21], two(s[22:]), two(s[24:]))
}

// unixISO reads $time_iso8601, "2026-11-25T00:46:12+00:00".
func unixISO(s []byte) int64 {
	return unixTime(two(s)*100+two(s[2:]), two(s[5:]), two(s[8:]), s[11:19], s[19], two(s[20:]), two(s[23:]))
}

// unixMsec reads $msec, "1795567572.123".
func unixMsec(s []byte) int64 {
	whole, _, _ := bytes.Cut(s, []byte{'.'})
	return max(integer(whole), 0)
}

func unixTime(year, month, day int64, clock []byte, sign byte, hours, minutes int64) int64 {
	hour, minute, second := two(clock), two(clock[3:]), two(clock[6:])
	if month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60 {
		return 0
	}
	offset := hours*3600 + minutes*60
	if sign == '-' {
		offset = -offset
	}
	return daysBefore(year, month, day)*86400 + hour*3600 + minute*60 + second - offset
}

// daysBefore counts the days from 1970 to a day of the Gregorian calendar. Years begin in March
// here, so that the leap day is their last.
func daysBefore(year, month, day int64) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	const to1970 = 719468 // from 1 March of the year 0
	return year*365 + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + day - 1 - to1970
}

func two(s []byte) int64 { return int64(s[0]-'0')*10 + int64(s[1]-'0') }

// month is 1 to 12; 0 for no English abbreviation of one.
func month(s []byte) int64 {
	const names = "JanFebMarAprMayJunJulAugSepOctNovDec"
	for i := 0; i < len(names); i += 3 {
		if names[i:i+3] == string(s) {
			return int64(i/3 + 1)
		}
	}
	return 0
}
