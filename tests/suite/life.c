// Uses 10 ms of CPU time and ends.
#include <stdint.h>
#include <time.h>

__attribute__((noinline, noclone)) static uint64_t life_inner(uint64_t x) {
    for (int i = 0; i < 20000; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        __asm__ volatile("" : "+r"(x));
    }
    return x;
}

__attribute__((noinline, noclone)) static uint64_t life_outer(uint64_t x) { return life_inner(x) + 1; }

int main(void) {
    struct timespec t;
    uint64_t x = 1;
    do {
        x = life_outer(x);
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    } while (t.tv_nsec < 10000000);
    return x == 3;
}
