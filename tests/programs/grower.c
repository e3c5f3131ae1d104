/* Memory that grows in a known way: ten stacks allocate blocks of 8 KiB and touch them, as servers allocate
 * buffers. Nine of them free what they took.
 *
 * leak      stack_07 keeps its blocks, RATE KiB in a second, for ever
 * cache     stack_07 keeps its blocks for PERIOD seconds, then no more: a cache that is full
 * sawtooth  stack_07 keeps its blocks and frees all of them every PERIOD seconds
 *
 * usage: grower leak|cache|sawtooth [RATE_KIB_PER_SECOND [PERIOD_S]]     1024 and 10 by default */
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STACK __attribute__((noinline, noclone))
#define BLOCK_BYTES 8192
#define TICK_NS 10000000

struct block {
    struct block *next;
    char bytes[BLOCK_BYTES - sizeof(struct block *)];
};

static struct block *kept;

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

STACK static struct block *allocate(void)
{
    struct block *block = malloc(sizeof *block);
    if (!block) {
        perror("malloc");
        exit(1);
    }
    memset(block->bytes, 0x5a, sizeof block->bytes);
    block->next = NULL;
    return block;
}

/* What is done after the call keeps the caller on the stack. */
#define PASSING(name)                                                                                \
    STACK static void name(void)                                                                     \
    {                                                                                                \
        struct block *block = allocate();                                                            \
        __asm__ volatile("" : : "r"(block) : "memory");                                              \
        free(block);                                                                                 \
    }

PASSING(stack_01)
PASSING(stack_02)
PASSING(stack_03)
PASSING(stack_04)
PASSING(stack_05)
PASSING(stack_06)
PASSING(stack_08)
PASSING(stack_09)
PASSING(stack_10)

STACK static void stack_07(void)
{
    struct block *block = allocate();
    block->next = kept;
    kept = block;
}

static void free_kept(void)
{
    while (kept) {
        struct block *next = kept->next;
        free(kept);
        kept = next;
    }
    malloc_trim(0);
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    double blocks_per_s = (argc > 2 ? atof(argv[2]) : 1024) * 1024 / BLOCK_BYTES;
    double period_s = argc > 3 ? atof(argv[3]) : 10;
    int is_cache = !strcmp(mode, "cache"), is_sawtooth = !strcmp(mode, "sawtooth");
    if ((!is_cache && !is_sawtooth && strcmp(mode, "leak")) || blocks_per_s <= 0 || period_s <= 0) {
        fprintf(stderr, "usage: grower leak|cache|sawtooth [RATE_KIB_PER_SECOND [PERIOD_S]]\n");
        return 2;
    }
    static void (*const passing[])(void) = { stack_01, stack_02, stack_03, stack_04, stack_05,
                                             stack_06, stack_08, stack_09, stack_10 };
    const struct timespec tick = { 0, TICK_NS };
    double start_s = now_s();
    uint64_t n_kept = 0;
    for (;;) {
        double elapsed_s = now_s() - start_s;
        if (is_sawtooth && elapsed_s >= period_s) {
            free_kept();
            start_s += elapsed_s;
            elapsed_s = 0;
            n_kept = 0;
        }
        if (is_cache && elapsed_s > period_s)
            elapsed_s = period_s;
        /* By the clock and not by ticks: a tick that comes late is made up for. */
        while ((double)n_kept < elapsed_s * blocks_per_s) {
            stack_07();
            n_kept++;
        }
        for (size_t i = 0; i < sizeof passing / sizeof passing[0]; i++)
            passing[i]();
        nanosleep(&tick, NULL);
    }
}
