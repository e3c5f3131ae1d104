/* Makes its resident memory grow by known amounts, each from a function of its own: touch_anonymous 48 MiB,
 * touch_file 24 MiB (a file of its own, mapped), touch_shared 12 MiB; then give_back releases the anonymous 48.
 *
 * usage: grow [ROUNDS [PAUSE_MS]]     1 round, no pause; what it keeps is touched once, before the first round */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline, noclone))
#define MIB (1024 * 1024)

enum { PAGE = 4096, ANONYMOUS = 48 * MIB, OF_FILE = 24 * MIB, SHARED = 12 * MIB };

static volatile char sink;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static char *map(size_t n_bytes, int flags, int fd)
{
    char *memory = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (memory == MAP_FAILED)
        die("mmap");
    return memory;
}

NOINLINE static void touch_anonymous(char *memory)
{
    for (size_t i = 0; i < ANONYMOUS; i += PAGE)
        memory[i] = 1;
}

NOINLINE static void touch_file(const char *memory)
{
    for (size_t i = 0; i < OF_FILE; i += PAGE)
        sink = memory[i];
}

NOINLINE static void touch_shared(char *memory)
{
    for (size_t i = 0; i < SHARED; i += PAGE)
        memory[i] = 1;
}

NOINLINE static void give_back(char *memory)
{
    if (munmap(memory, ANONYMOUS) != 0)
        die("munmap");
}

/* Written, so that its pages are in the page cache, and unlinked at once. */
static char *mapped_file(void)
{
    char path[] = "grow.XXXXXX", block[PAGE] = {1};
    int fd = mkstemp(path);
    if (fd < 0 || unlink(path) != 0)
        die("mkstemp");
    for (size_t i = 0; i < OF_FILE; i += PAGE)
        if (write(fd, block, PAGE) != PAGE)
            die("write");
    return map(OF_FILE, MAP_PRIVATE, fd);
}

int main(int argc, char **argv)
{
    int n_rounds = argc > 1 ? atoi(argv[1]) : 1, pause_ms = argc > 2 ? atoi(argv[2]) : 0;
    touch_file(mapped_file());
    touch_shared(map(SHARED, MAP_SHARED | MAP_ANONYMOUS, -1));
    for (int i = 0; i < n_rounds; i++) {
        char *memory = map(ANONYMOUS, MAP_PRIVATE | MAP_ANONYMOUS, -1);
        touch_anonymous(memory);
        give_back(memory);
        usleep((useconds_t)pause_ms * 1000);
    }
    return 0;
}
