// Loaded by loaded.c in the middle of its life.
#include <stdint.h>
#include <time.h>

__attribute__((noinline, noclone)) static uint64_t loaded_inner(uint64_t x) {
    for (int i = 0; i < 20000; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        __asm__ volatile("" : "+r"(x));
    }
    return x;
}

uint64_t loaded_spin(double seconds) {
    struct timespec start, now;
    uint64_t x = 1;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        x = loaded_inner(x) + 1;
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - start.tv_sec) + (now.tv_nsec - start.tv_nsec) / 1e9 < seconds);
    return x;
}
