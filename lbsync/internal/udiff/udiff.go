// Package udiff shows what changed between two texts in the unified format, for people who decide whether to
// apply it.
package udiff

import (
	"fmt"
	"strings"
)

const context = 3 // unchanged lines around a change

// maxCells bounds the table of the comparison, and with it time and memory; larger changes are shown as a
// whole.
const maxCells = 16 << 20

// Unified returns the difference, or "" if there is none. name stands in the head.
func Unified(name, before, after string) string {
	if before == after {
		return ""
	}
	lines := compare(split(before), split(after))
	var b strings.Builder
	fmt.Fprintf(&b, "--- %s\n+++ %s\n", name, name)
	oldLine, newLine := 1, 1
	for i := 0; i < len(lines); {
		if lines[i].sign == ' ' {
			oldLine, newLine, i = oldLine+1, newLine+1, i+1
			continue
		}
		lead := 0
		for lead < context && i-lead > 0 && lines[i-lead-1].sign == ' ' {
			lead++
		}
		end, quiet := i, 0 // a hunk ends where more lines are unchanged than two contexts have
		for j := i; j < len(lines) && quiet <= 2*context; j++ {
			if quiet++; lines[j].sign != ' ' {
				end, quiet = j+1, 0
			}
		}
		stop := min(end+context, len(lines))
		hunk := lines[i-lead : stop]
		olds, news := 0, 0
		for _, l := range hunk {
			if l.sign != '+' {
				olds++
			}
			if l.sign != '-' {
				news++
			}
		}
		fmt.Fprintf(&b, "@@ -%s +%s @@\n", span(oldLine-lead, olds), span(newLine-lead, news))
		for _, l := range hunk {
			fmt.Fprintf(&b, "%c%s\n", l.sign, l.text)
		}
		oldLine, newLine, i = oldLine-lead+olds, newLine-lead+news, stop
	}
	return b.String()
}

// span writes a range of lines; that of no line names the one before.
func span(start, n int) string {
	if n == 0 {
		start--
	}
	return fmt.Sprintf("%d,%d", start, n)
}

type line struct {
	sign byte // ' ', '-' or '+'
	text string
}

func split(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// compare lines both texts up along a longest common subsequence.
func compare(a, b []string) []line {
	var head, tail []line
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		head, a, b = append(head, line{' ', a[0]}), a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		tail = append([]line{{' ', a[len(a)-1]}}, tail...)
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	if len(a)*len(b) > maxCells {
		for _, text := range a {
			head = append(head, line{'-', text})
		}
		for _, text := range b {
			head = append(head, line{'+', text})
		}
		return append(head, tail...)
	}
	common := make([][]int32, len(a)+1) // of a[i:] and b[j:]
	for i := range common {
		common[i] = make([]int32, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			head = append(head, line{' ', a[i]})
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			head = append(head, line{'-', a[i]})
			i++
		default:
			head = append(head, line{'+', b[j]})
			j++
		}
	}
	return append(head, tail...)
}
