/* One function that is always inlined into another that never is. */
#include <stdint.h>
#include <stdio.h>
#include <time.h>

static inline __attribute__((always_inline)) uint64_t mix_inlined(uint64_t x)
{
    for (int i = 0; i < 1000000; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        __asm__ volatile("" : "+r"(x));
    }
    return x;
}

__attribute__((noinline, noclone)) static uint64_t caller(uint64_t x)
{
    return mix_inlined(x) + 1;
}

int main(void)
{
    uint64_t x = 1;
    while (clock() < CLOCKS_PER_SEC / 2)
        x = caller(x);
    printf("%llx\n", (unsigned long long)x);
    return 0;
}
