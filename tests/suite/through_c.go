// A Go function that C calls that Go calls, beside a collector that is kept busy and a stack that grows.
package main

/*
#include <stdint.h>
extern uint64_t innerGo(uint64_t);
static uint64_t __attribute__((noinline)) middle_c(uint64_t x) { return innerGo(x) + 1; }
*/
import "C"

import (
	"os"
	"strconv"
	"time"
)

type node struct {
	left, right *node
	payload     [6]uint64
}

//export innerGo
func innerGo(x C.uint64_t) C.uint64_t {
	for i := 0; i < 100000; i++ {
		x = x*6364136223846793005 + 3
	}
	return x
}

//go:noinline
func outerGo(x C.uint64_t) C.uint64_t { return C.middle_c(x) + 1 }

//go:noinline
func tree(depth int) *node {
	if depth == 0 {
		return &node{}
	}
	return &node{left: tree(depth - 1), right: tree(depth - 1)}
}

//go:noinline
func grow(n int) int {
	var room [100]int
	room[n%100] = n
	if n == 0 {
		return room[0]
	}
	return grow(n-1) + room[n%100]
}

func main() {
	seconds, _ := strconv.Atoi(os.Args[1])
	end := time.Now().Add(time.Duration(seconds) * time.Second)
	go func() {
		for {
			tree(14)
		}
	}()
	go func() {
		for {
			done := make(chan int)
			go func() { done <- grow(200) }()
			<-done
		}
	}()
	var x C.uint64_t = 1
	for time.Now().Before(end) {
		x = outerGo(x)
	}
	os.Exit(int(x & 0))
}
