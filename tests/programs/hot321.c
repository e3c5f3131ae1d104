/* Three functions that burn CPU time in the exact ratio 3:2:1, interleaved in slices of about a
 * millisecond, so that any stretch of the run has the same ratio.
 *
 * usage: hot321 [SECONDS]     SECONDS of wall time, 10 by default
 *
 * Each iteration is one multiplication that needs the result of the one before: its latency, not the
 * placement of the loop in memory, sets the pace, and it is the same in the three functions. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define UNIT 150000u
#define HOT __attribute__((noinline, noclone, aligned(64)))

#define SPIN(name, addend)                                                                           \
    HOT static uint64_t name(uint64_t x, uint64_t n_iterations)                                      \
    {                                                                                                \
        for (uint64_t i = 0; i < n_iterations; i++) {                                                \
            x = x * 6364136223846793005u + addend;                                                   \
            __asm__ volatile("" : "+r"(x));                                                          \
        }                                                                                            \
        return x;                                                                                    \
    }

SPIN(spin_a, 1442695040888963407u)
SPIN(spin_b, 3935559000370003845u)
SPIN(spin_c, 2691343689449507681u)

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    double end_s = now_s() + (argc > 1 ? atof(argv[1]) : 10.0);
    uint64_t x = 1, n_rounds = 0;
    while (now_s() < end_s) {
        x = spin_a(x, 3 * UNIT);
        x = spin_b(x, 2 * UNIT);
        x = spin_c(x, 1 * UNIT);
        n_rounds++;
    }
    printf("%llu rounds, %llx\n", (unsigned long long)n_rounds, (unsigned long long)x);
    return 0;
}
