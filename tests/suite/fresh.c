// Loads copies of a library, one after another; each calls back into the program at once, which spins for 4 ms of CPU time.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

__attribute__((noinline, noclone)) static uint64_t spin_inner(uint64_t x) {
    for (int i = 0; i < 20000; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        __asm__ volatile("" : "+r"(x));
    }
    return x;
}

static uint64_t spin(uint64_t x) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    int64_t until_ns = t.tv_sec * 1000000000ll + t.tv_nsec + 4000000;
    do {
        x = spin_inner(x);
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    } while (t.tv_sec * 1000000000ll + t.tv_nsec < until_ns);
    return x;
}

int main(int argc, char **argv) {
    uint64_t x = 1;
    for (int i = 1; i < argc; i++) {
        void *library = dlopen(argv[i], RTLD_NOW);
        uint64_t (*through)(uint64_t (*)(uint64_t), uint64_t) =
            library ? (uint64_t (*)(uint64_t (*)(uint64_t), uint64_t))dlsym(library, "call_through") : NULL;
        if (through == NULL) {
            fprintf(stderr, "%s\n", dlerror());
            return 1;
        }
        x = through(spin, x);
    }
    return x == 3;
}
