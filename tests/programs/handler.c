/* A signal handler that was called over a function three calls deep, which itself was called by the C library:
 * main, qsort, compare, interrupted, then the handler, which asks for the time through the vdso and through a
 * linkage stub.
 *
 * usage: handler     for ever */
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define DEEP __attribute__((noinline, noclone))

static volatile uint64_t total;

DEEP static void ask(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    total += (uint64_t)t.tv_nsec;
}

static void on_signal(int number)
{
    for (int i = 0; i < 1000; i++)
        ask();
    total += (uint64_t)number;
}

DEEP static int interrupted(int x)
{
    volatile int kept[5] = {x, 1, 2, 3, 4};
    raise(SIGUSR1);
    return kept[0] + kept[4];
}

static int compare(const void *a, const void *b)
{
    total += (uint64_t)interrupted(*(const int *)a);
    return *(const int *)a - *(const int *)b;
}

int main(void)
{
    signal(SIGUSR1, on_signal);
    for (;;) {
        int numbers[] = {3, 1, 2};
        qsort(numbers, 3, sizeof numbers[0], compare);
    }
}
