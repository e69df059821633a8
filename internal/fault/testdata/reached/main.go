// Command reached passes the points that are named on its command line, and prints each one it survives.
package main

import (
	"fmt"
	"os"

	"graft/internal/fault"
)

func main() {
	for _, name := range os.Args[1:] {
		fault.Point(name)
		fmt.Println(name)
	}
}
