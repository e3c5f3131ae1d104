/* Uses 50 ms of CPU time and is gone: its frames must have names although the process no longer exists
 * when they are looked up. */
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#define WORK_NS 50000000

static int64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

__attribute__((noinline, noclone)) static uint64_t short_lived_work(uint64_t x)
{
    do {
        for (int i = 0; i < 200000; i++) {
            x = x * 6364136223846793005u + 1442695040888963407u;
            __asm__ volatile("" : "+r"(x));
        }
    } while (cpu_ns() < WORK_NS);
    return x;
}

int main(void)
{
    printf("%llx\n", (unsigned long long)short_lived_work(1));
    return 0;
}
