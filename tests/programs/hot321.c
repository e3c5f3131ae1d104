/* Three functions that burn CPU time in the exact ratio 3:2:1, interleaved in rounds of about a
 * millisecond, so that any stretch of the run has the same ratio. Rounds differ in length, so that none
 * can keep step with a sampler: at 3.6 GHz rounds of one length would take what a period of 997 Hz takes.
 *
 * usage: hot321 [SECONDS [PERCENT]]     SECONDS of wall time, 10 by default; spin_a takes PERCENT more
 *
 * Each iteration is one multiplication that needs the result of the one before: its latency, not the
 * placement of the loop in memory, sets the pace, and it is the same in the three functions. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define MIN_UNIT 75000u
#define MAX_UNIT 225000u
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
    uint64_t more_percent = argc > 2 ? (uint64_t)atoi(argv[2]) : 0;
    uint64_t x = 1, n_rounds = 0, random = 88172645463325252u;
    while (now_s() < end_s) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        uint64_t unit = MIN_UNIT + random % (MAX_UNIT - MIN_UNIT);
        x = spin_a(x, 3 * unit * (100 + more_percent) / 100);
        x = spin_b(x, 2 * unit);
        x = spin_c(x, 1 * unit);
        n_rounds++;
    }
    printf("%llu rounds, %llx\n", (unsigned long long)n_rounds, (unsigned long long)x);
    return 0;
}
