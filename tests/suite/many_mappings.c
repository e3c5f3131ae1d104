// Maps as many separate pieces of one file executable as argv says, and spins in functions of the last: one that
// calls another without a frame pointer. The file is this program, so its unwind table describes every piece.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

__attribute__((noinline, noclone, aligned(4096))) uint64_t mapped_inner(uint64_t x) {
    for (int i = 0; i < 20000; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        __asm__ volatile("" : "+r"(x));
    }
    return x;
}

__attribute__((noinline, noclone)) uint64_t mapped_outer(uint64_t x) { return mapped_inner(x) + 1; }

extern char __executable_start;

int main(int argc, char **argv) {
    int n = argc > 1 ? atoi(argv[1]) : 0;
    double seconds = argc > 2 ? atof(argv[2]) : 0;
    int file = open("/proc/self/exe", O_RDONLY);
    uintptr_t offset = (uintptr_t)mapped_inner - (uintptr_t)&__executable_start;
    uint64_t (*outer)(uint64_t) = mapped_outer;
    for (int i = 0; i < n; i++) {
        // A page between two pieces keeps them apart.
        char *room = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        char *code = mmap(room, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, file, (off_t)offset);
        if (code == MAP_FAILED) return 1;
        outer = (uint64_t (*)(uint64_t))(code + ((uintptr_t)mapped_outer - (uintptr_t)mapped_inner));
    }
    struct timespec start, now;
    uint64_t x = 1;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        x = outer(x) + 1;
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - start.tv_sec) + (now.tv_nsec - start.tv_nsec) / 1e9 < seconds);
    return x == 3;
}
