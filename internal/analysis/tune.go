package analysis

import (
	"os"
	"strconv"
)

func tune(name string, usual float64) float64 {
	if v, err := strconv.ParseFloat(os.Getenv(name), 64); err == nil {
		return v
	}
	return usual
}

var tuneC, tuneZ, tuneG, tuneK, tuneN = tune("C", 1.2), tune("Z", 2), tune("G", 0.2), tune("K", 12), tune("N", 1)
