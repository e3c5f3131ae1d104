/* 10 GiB, or a part of it, of allocations of 16 bytes to 16 MiB, by functions that have the size of their pieces in
 * their names. What freed_* take they free at once; what kept_* take they keep to the end. Memory is not touched, but
 * for what the allocator writes.
 *
 * usage: accounted [DIVISOR]     10 GiB / DIVISOR */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline, noclone))
#define KIB 1024ul
#define MIB (1024ul * 1024ul)

static void *must(void *memory)
{
    if (!memory) {
        perror("malloc");
        exit(1);
    }
    return memory;
}

/* The compiler must not see that nothing is done with it. */
static void *volatile last;

/* Whoever looks on may take a sample of every call of 1 KiB and more: it must keep up with them. */
static void pace(unsigned long piece, unsigned long n)
{
    if (piece >= KIB && n % 1024 == 0)
        usleep(20000);
}

#define FREED(name, piece, mib)                                                          \
    NOINLINE static void name(unsigned long divisor)                                     \
    {                                                                                    \
        for (unsigned long n = (mib) * MIB / (piece) / divisor; n > 0; n--) {            \
            last = must(malloc(piece));                                                  \
            free(last);                                                                  \
            pace(piece, n);                                                              \
        }                                                                                \
    }

#define KEPT(name, how, piece, mib)                                                      \
    NOINLINE static void name(unsigned long divisor)                                     \
    {                                                                                    \
        for (unsigned long n = (mib) * MIB / (piece) / divisor; n > 0; n--) {            \
            last = must(how);                                                            \
            pace(piece, n);                                                              \
        }                                                                                \
    }

FREED(freed_16, 16, 64)
FREED(freed_256, 256, 192)
FREED(freed_4k, 4 * KIB, 384)
FREED(freed_64k, 64 * KIB, 2048)
FREED(freed_1m, MIB, 2048)
FREED(freed_16m, 16 * MIB, 4096)
KEPT(kept_256, malloc(256), 256, 64)
KEPT(kept_1k, calloc(2, 512), KIB, 192)
KEPT(kept_4k, malloc(4 * KIB), 4 * KIB, 128)
KEPT(kept_1m, malloc(MIB), MIB, 1024)

int main(int argc, char **argv)
{
    unsigned long divisor = argc > 1 ? strtoul(argv[1], NULL, 10) : 1;
    if (divisor == 0)
        return 2;
    /* Whoever looks on needs a moment to know the code. */
    usleep(700000);
    freed_16(divisor);
    freed_256(divisor);
    freed_4k(divisor);
    freed_64k(divisor);
    freed_1m(divisor);
    freed_16m(divisor);
    kept_256(divisor);
    kept_1k(divisor);
    kept_4k(divisor);
    kept_1m(divisor);
    return 0;
}
