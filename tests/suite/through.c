// A library that calls what it is given.
#include <stdint.h>

__attribute__((noinline, noclone)) uint64_t call_through(uint64_t (*call)(uint64_t), uint64_t x) { return call(x) + 1; }
