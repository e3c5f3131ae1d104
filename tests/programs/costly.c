/* Threads that spin below DEPTH calls of the same function, each with a large frame, so that every step of a walk has to
 * read another piece of the stack: what a sample costs is up to DEPTH, and nothing else is.
 *
 * usage: costly DEPTH THREADS [SECONDS]     10 by default */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static volatile int is_over;

__attribute__((noinline, noclone)) static uint64_t spin(uint64_t x)
{
    while (!is_over) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        __asm__ volatile("" : "+r"(x));
    }
    return x;
}

/* A page and a line: neighbours share neither. */
#define FRAME_WORDS ((4096 + 64) / 8)

/* What is read after the call has to live in the frame across it. */
__attribute__((noinline, noclone)) static uint64_t descend(uint64_t depth)
{
    volatile uint64_t kept[FRAME_WORDS];
    kept[0] = depth;
    kept[FRAME_WORDS - 1] = depth + 1;
    uint64_t below = depth > 1 ? descend(depth - 1) : spin(depth);
    return below + kept[0] + kept[FRAME_WORDS - 1];
}

static void *run(void *depth)
{
    descend((uint64_t)(uintptr_t)depth);
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fputs("usage: costly DEPTH THREADS [SECONDS]\n", stderr);
        return 2;
    }
    for (int i = 0; i < atoi(argv[2]); i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, run, (void *)(uintptr_t)strtoul(argv[1], NULL, 10)) != 0) {
            fputs("pthread_create failed\n", stderr);
            return 1;
        }
    }
    usleep((useconds_t)((argc > 3 ? atof(argv[3]) : 10.0) * 1e6));
    is_over = 1;
    return 0;
}
