package elffile

import (
	"fmt"
)

// debugLinkSection names the file with the symbols and has its CRC-32 (gdb's manual, "Separate Debug
// Files").
const debugLinkSection = ".gnu_debuglink"

// debugLink returns the name and the CRC; an empty name if there is none.
func (im *image) debugLink() (file string, crc uint32, err error) {
	s, ok := im.named(debugLinkSection)
	if !ok {
		return "", 0, nil
	}
	data, err := im.section(s)
	if err == nil {
		file, err = text(data, 0, maxName)
	}
	if err != nil {
		return "", 0, fmt.Errorf("%s: %w", debugLinkSection, err)
	}
	at := round(uint64(len(file))+1, 4)
	if at+4 > uint64(len(data)) {
		return "", 0, fmt.Errorf("%s: no CRC after the name", debugLinkSection)
	}
	return file, im.order.Uint32(data[at:]), nil
}
