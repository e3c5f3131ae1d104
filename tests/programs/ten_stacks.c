/* Ten stacks allocate about as much each, 1 MiB in a second; what becomes of it differs. Nine of them free what they
 * took at once, each in blocks of a size of its own, so that the allocator hands each its own blocks again. stack_07
 * takes blocks of 8 KiB:
 *
 * leak      and keeps them, RATE KiB in a second, for ever
 * cache     and keeps them for PERIOD seconds, then takes no more: a cache that is full
 * sawtooth  and frees all of them every PERIOD seconds
 *
 * Compiled with -DONE_SIZE (`grower`), all ten take blocks of 8 KiB: what is freed on one stack is then reused on
 * another, and pages that stack_07 keeps were touched first elsewhere.
 *
 * Every path is main > stack_NN > take_NN, and take_NN is what calls malloc.
 *
 * usage: ten_stacks leak|cache|sawtooth [RATE_KIB_PER_SECOND [PERIOD_S]]     1024 and 10 by default */
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STACK __attribute__((noinline, noclone))
#define BLOCK_BYTES 8192
#define TICK_NS 10000000
/* As many as glibc keeps of one size for the thread that freed them. */
#define N_PASSING 7
#define N_ROUNDS 2

struct block {
    struct block *next;
    char bytes[];
};

static struct block *kept;

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Allocates and touches a block. What is done after the call keeps the caller on the stack. */
#define TAKE(number, n_bytes)                                                                        \
    STACK static struct block *take_##number(void)                                                   \
    {                                                                                                \
        struct block *block = malloc(n_bytes);                                                       \
        if (!block) {                                                                                \
            perror("malloc");                                                                        \
            exit(1);                                                                                 \
        }                                                                                            \
        memset(block, 0x5a, n_bytes);                                                                \
        block->next = NULL;                                                                          \
        return block;                                                                                \
    }

#ifdef ONE_SIZE
#define OWN_BYTES(n_bytes) BLOCK_BYTES
#else
#define OWN_BYTES(n_bytes) n_bytes
#endif

#define PASSING(number, n_bytes)                                                                     \
    TAKE(number, OWN_BYTES(n_bytes))                                                                 \
    STACK static void stack_##number(void)                                                           \
    {                                                                                                \
        struct block *taken = NULL;                                                                  \
        for (int i = 0; i < N_PASSING; i++) {                                                        \
            struct block *block = take_##number();                                                   \
            block->next = taken;                                                                     \
            taken = block;                                                                           \
        }                                                                                            \
        while (taken) {                                                                              \
            struct block *next = taken->next;                                                        \
            free(taken);                                                                             \
            taken = next;                                                                            \
        }                                                                                            \
    }

PASSING(01, 600)
PASSING(02, 640)
PASSING(03, 680)
PASSING(04, 720)
PASSING(05, 760)
PASSING(06, 800)
PASSING(08, 840)
PASSING(09, 880)
PASSING(10, 920)

TAKE(07, BLOCK_BYTES)

STACK static void stack_07(void)
{
    struct block *block = take_07();
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
        fprintf(stderr, "usage: %s leak|cache|sawtooth [RATE_KIB_PER_SECOND [PERIOD_S]]\n", argv[0]);
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
        for (int round = 0; round < N_ROUNDS; round++)
            for (size_t i = 0; i < sizeof passing / sizeof passing[0]; i++)
                passing[i]();
        nanosleep(&tick, NULL);
    }
}
