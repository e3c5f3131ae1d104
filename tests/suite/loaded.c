// Spins in main for a second, then loads the library that argv says and spins in that.
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
    volatile unsigned long sink = 0;
    double end = now() + 1;
    while (now() < end) sink++;
    void *library = argc > 2 ? dlopen(argv[1], RTLD_NOW) : NULL;
    if (!library) return 1;
    unsigned long (*spin)(double) = (unsigned long (*)(double))dlsym(library, "loaded_spin");
    return spin ? (int)(spin(atof(argv[2])) & 1) : 2;
}
