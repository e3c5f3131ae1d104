/* A chain of 25 different functions, the last of which spins: every sample should be
 * main, deep_01, ..., deep_25. Compiled twice, with and without frame pointers.
 *
 * usage: deep [SECONDS]     for ever by default */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define DEEP __attribute__((noinline, noclone))

static double end_s;

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

DEEP static uint64_t deep_25(uint64_t x)
{
    do {
        for (int i = 0; i < 50000000; i++) {
            x = x * 6364136223846793005u + 1442695040888963407u;
            __asm__ volatile("" : "+r"(x));
        }
    } while (end_s == 0 || now_s() < end_s);
    return x;
}

/* Frames of different sizes, so that no unwinder gets by with one constant. What is read after the call
 * has to live in the frame across it. */
#define LEVEL(name, callee, n_words)                                                                 \
    DEEP static uint64_t name(uint64_t x)                                                            \
    {                                                                                                \
        volatile uint64_t kept[n_words];                                                             \
        kept[0] = x;                                                                                 \
        kept[n_words - 1] = x + 1;                                                                   \
        return callee(x + 2) + kept[0] + kept[n_words - 1];                                          \
    }

LEVEL(deep_24, deep_25, 1)
LEVEL(deep_23, deep_24, 2)
LEVEL(deep_22, deep_23, 5)
LEVEL(deep_21, deep_22, 1)
LEVEL(deep_20, deep_21, 9)
LEVEL(deep_19, deep_20, 3)
LEVEL(deep_18, deep_19, 1)
LEVEL(deep_17, deep_18, 17)
LEVEL(deep_16, deep_17, 2)
LEVEL(deep_15, deep_16, 1)
LEVEL(deep_14, deep_15, 6)
LEVEL(deep_13, deep_14, 4)
LEVEL(deep_12, deep_13, 1)
LEVEL(deep_11, deep_12, 33)
LEVEL(deep_10, deep_11, 2)
LEVEL(deep_09, deep_10, 1)
LEVEL(deep_08, deep_09, 8)
LEVEL(deep_07, deep_08, 3)
LEVEL(deep_06, deep_07, 1)
LEVEL(deep_05, deep_06, 12)
LEVEL(deep_04, deep_05, 2)
LEVEL(deep_03, deep_04, 1)
LEVEL(deep_02, deep_03, 7)
LEVEL(deep_01, deep_02, 3)

int main(int argc, char **argv)
{
    if (argc > 1)
        end_s = now_s() + atof(argv[1]);
    uint64_t x = deep_01((uint64_t)argc);
    printf("%llx\n", (unsigned long long)x);
    return 0;
}
