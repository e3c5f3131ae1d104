/* Allocates known amounts, each from a function of its own, and frees them at once:
 * take_16 32 MiB in pieces of 16 bytes, take_1k 64 MiB, take_64k 128 MiB, take_16m 256 MiB; zeroed_1k 64 MiB through
 * calloc; aligned_1k 64 MiB through posix_memalign, which glibc hands on to malloc; grown 64 MiB through realloc, in
 * steps of 1 KiB up to 8 KiB, each counted whole: 1 + 2 + ... + 8 KiB.
 *
 * usage: allocate [ROUNDS [PAUSE_MS]]     1 round after a pause of 0 ms */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline, noclone))
#define KIB 1024ul
#define MIB (1024ul * 1024ul)

static void *volatile kept;

static void use(void *memory)
{
    if (memory == NULL) {
        perror("malloc");
        exit(1);
    }
    kept = memory;
}

#define TAKE(name, piece, total)                                \
    NOINLINE static void name(void)                             \
    {                                                           \
        for (unsigned long done = 0; done < (total); done += (piece)) { \
            use(malloc(piece));                                 \
            free(kept);                                         \
        }                                                       \
    }

TAKE(take_16, 16, 32 * MIB)
TAKE(take_1k, KIB, 64 * MIB)
TAKE(take_64k, 64 * KIB, 128 * MIB)
TAKE(take_16m, 16 * MIB, 256 * MIB)

NOINLINE static void zeroed_1k(void)
{
    for (unsigned long done = 0; done < 64 * MIB; done += KIB) {
        use(calloc(16, 64));
        free(kept);
    }
}

NOINLINE static void grown(void)
{
    for (unsigned long done = 0; done < 64 * MIB; done += 36 * KIB) {
        void *memory = NULL;
        for (unsigned long size = KIB; size <= 8 * KIB; size += KIB) {
            memory = realloc(memory, size);
            use(memory);
        }
        free(memory);
    }
}

NOINLINE static void aligned_1k(void)
{
    for (unsigned long done = 0; done < 64 * MIB; done += KIB) {
        void *memory = NULL;
        if (posix_memalign(&memory, 16, KIB) != 0)
            memory = NULL;
        use(memory);
        free(kept);
    }
}

int main(int argc, char **argv)
{
    int n_rounds = argc > 1 ? atoi(argv[1]) : 1, pause_ms = argc > 2 ? atoi(argv[2]) : 0;
    for (int i = 0; i < n_rounds; i++) {
        usleep((useconds_t)pause_ms * 1000);
        take_16();
        take_1k();
        take_64k();
        take_16m();
        zeroed_1k();
        aligned_1k();
        grown();
    }
    return 0;
}
