// A handler for the type greet in Go. The protocol: docs/program-protocol.md.
package main

import (
	"bufio"
	"encoding/json"
	"os"
	"strconv"
)

type line struct {
	Run   int64  `json:"run"`
	Body  string `json:"body"`
	Leave bool   `json:"leave"`
}

func main() {
	fd, err := strconv.Atoi(os.Getenv("BIDE_FD"))
	if err != nil {
		panic("this program is started by bide")
	}
	bide := os.NewFile(uintptr(fd), "bide")
	out := json.NewEncoder(bide) // one object a line
	in := bufio.NewReader(bide)
	in.ReadBytes('\n') // bide's greeting
	out.Encode(map[string]any{"bide": 1, "types": []string{"greet"}, "concurrency": 1, "sdk": "go"})
	for {
		text, err := in.ReadBytes('\n')
		var l line
		if err != nil || json.Unmarshal(text, &l) != nil || l.Leave {
			return
		}
		if l.Run > 0 && l.Body == "" {
			out.Encode(map[string]any{"run": l.Run, "dead": "nobody to greet"})
		} else if l.Run > 0 { // else a cancel: this one is quick enough to finish
			out.Encode(map[string]any{"run": l.Run, "log": "info", "text": "hello, " + l.Body})
			out.Encode(map[string]any{"run": l.Run, "done": struct{}{}})
		}
	}
}
