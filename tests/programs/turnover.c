/* Allocates and frees as fast as it can, between other work of its own: pieces of 16 bytes to 4 KiB from eight
 * functions, a thousand of them alive at once, each written to. How many it has allocated stands in the first eight
 * bytes of a file, for whoever wants to know its rate.
 *
 * usage: turnover FILE SECONDS */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline, noclone))
#define N_LIVE 1024u

static void *live[N_LIVE];
static volatile uint32_t work;

#define TAKE(name, piece)                       \
    NOINLINE static void *name(void)            \
    {                                           \
        void *memory = malloc(piece);           \
        if (memory == NULL)                     \
            exit(1);                            \
        memset(memory, 1, (piece) / 4);         \
        return memory;                          \
    }

TAKE(take_16, 16)
TAKE(take_48, 48)
TAKE(take_112, 112)
TAKE(take_256, 256)
TAKE(take_600, 600)
TAKE(take_1k, 1024)
TAKE(take_2k, 2048)
TAKE(take_4k, 4096)

static void *(*const takes[8])(void) = {
    take_16, take_48, take_112, take_256, take_600, take_1k, take_2k, take_4k,
};

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    int file = open(argv[1], O_RDWR);
    if (file < 0 || ftruncate(file, 4096) != 0) {
        perror(argv[1]);
        return 1;
    }
    volatile uint64_t *count = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (count == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    time_t end = time(NULL) + atoi(argv[2]);
    for (uint32_t n = 1, i = 0; (i & 4095) != 0 || time(NULL) < end; i++) {
        n = n * 1664525u + 1013904223u;
        void **slot = &live[(n >> 8) & (N_LIVE - 1)];
        free(*slot);
        *slot = takes[n >> 29]();
        for (int turn = 0; turn < 500; turn++)
            work = work * 31 + n;
        *count += 1;
    }
    return 0;
}
