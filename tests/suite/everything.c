/* Burns CPU time, makes its resident memory grow and shrink, and allocates, each in a function of its own.
 *
 * usage: everything */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define NOINLINE __attribute__((noinline, noclone))

enum { TOUCHED = 4 << 20, PIECE = 16 << 10 };

static volatile unsigned sink;

NOINLINE static void burns(void)
{
    unsigned x = sink;
    for (unsigned i = 0; i < 3000000; i++)
        x = x * 1664525u + 1013904223u;
    sink = x;
}

NOINLINE static void touches(void)
{
    char *memory = mmap(NULL, TOUCHED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        abort();
    memset(memory, 1, TOUCHED);
    sink += (unsigned)memory[TOUCHED - 1];
    munmap(memory, TOUCHED);
}

NOINLINE static void allocates(void)
{
    for (int i = 0; i < 64; i++) {
        char *volatile piece = malloc(PIECE);
        if (piece == NULL)
            abort();
        piece[0] = 1;
        sink += (unsigned)piece[0];
        free(piece);
    }
}

int main(void)
{
    for (;;) {
        burns();
        touches();
        allocates();
    }
}
