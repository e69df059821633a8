package stub

import (
	"crypto/sha256"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// serveMemcached answers memcached's commands. Half of all keys, always the
// same ones, are there: a configuration's way around a miss is tried, too.
func (c *conn) serveMemcached() {
	for {
		line, err := c.line()
		if err != nil {
			return
		}
		words := strings.Fields(line)
		if len(words) == 0 {
			return
		}
		saw := c.saw
		saw.Protocol, saw.Method, saw.Target = Memcached, words[0], strings.Join(words[1:], " ")
		answer := "ERROR\r\n"
		d := newDigest()
		switch words[0] {
		case "get", "gets":
			answer = ""
			for _, key := range words[1:] {
				if found(key) {
					one := saw
					one.Target, one.Body = key, d.body()
					answer += value(&one, words[0] == "gets")
				}
			}
			answer += "END\r\n"
		case "set", "add", "replace", "append", "prepend", "cas":
			if len(words) < 5 || c.readValue(d, words[4]) != nil {
				return
			}
			answer = "STORED\r\n"
		case "delete":
			answer = "DELETED\r\n"
		case "version":
			answer = "VERSION graft-stub\r\n"
		case "quit":
			return
		}
		saw.Body = d.body()
		c.server.note(saw)
		if _, err := io.WriteString(c, answer); err != nil {
			return
		}
	}
}

// found tells whether the stub has a key.
func found(key string) bool { return sha256.Sum256([]byte(key))[0]&1 == 0 }

func value(saw *Saw, unique bool) string {
	body := saw.echo()
	cas := ""
	if unique {
		cas = " 1"
	}
	return fmt.Sprintf("VALUE %s 0 %d%s\r\n%s\r\n", saw.Target, len(body), cas, body)
}

func (c *conn) readValue(d *digest, size string) error {
	if _, err := strconv.ParseUint(size, 10, 31); err != nil {
		return err
	}
	if err := copyLength(d, c.in, size); err != nil {
		return err
	}
	_, err := c.line()
	return err
}
