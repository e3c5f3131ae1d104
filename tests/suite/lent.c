// Memory that others take or give. `taken`: 64 MiB of a file are mapped and touched, another process takes them away
// (process_madvise), and 4 MiB of them are touched again. `lent`: a child between vfork and exec touches 32 MiB of its parent's
// memory, and its parent touches 4 MiB.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline, noclone))
enum { PAGE = 4096, MIB = 1 << 20, TAKEN = 64 * MIB, LENT = 32 * MIB, OWN = 4 * MIB };

static void die(const char *what) {
    perror(what);
    exit(1);
}

static volatile char sink;

NOINLINE static void read_own(const char *memory, size_t n_bytes) {
    for (size_t i = 0; i < n_bytes; i += PAGE)
        sink = memory[i];
}

static inline __attribute__((always_inline)) void touch(volatile char *memory, size_t n_bytes) {
    for (size_t i = 0; i < n_bytes; i += PAGE)
        memory[i] = 1;
}

NOINLINE static void touch_own(void) {
    char *memory = mmap(NULL, OWN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        die("mmap");
    touch(memory, OWN);
}

NOINLINE static void touch_borrowed(char *memory) {
    touch(memory, LENT);
}

static long file_pages(void) {
    long size, resident, of_files = -1;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%ld %ld %ld", &size, &resident, &of_files) != 3)
        die("statm");
    fclose(file);
    return of_files;
}

static void taken(void) {
    char path[] = "lent.XXXXXX";
    static char block[MIB];
    memset(block, 1, sizeof block);
    int fd = mkstemp(path);
    if (fd < 0 || unlink(path) != 0)
        die("mkstemp");
    for (int i = 0; i < TAKEN / MIB; i++)
        if (write(fd, block, MIB) != MIB)
            die("write");
    // What is not on the disk yet is not taken away.
    if (fsync(fd) != 0)
        die("fsync");
    char *memory = mmap(NULL, TAKEN, PROT_READ, MAP_PRIVATE, fd, 0);
    // A page that a child maps as well stays.
    if (memory == MAP_FAILED || madvise(memory, TAKEN, MADV_DONTFORK) != 0)
        die("mmap");
    for (size_t i = 0; i < TAKEN; i += PAGE)
        sink = memory[i];
    long before = file_pages();
    pid_t self = getpid(), child = fork();
    if (child == 0) {
        struct iovec range = {memory, TAKEN};
        int process = (int)syscall(SYS_pidfd_open, self, 0);
        _exit(syscall(SYS_process_madvise, process, &range, 1, MADV_PAGEOUT, 0) != TAKEN);
    }
    int status;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        die("the child");
    if ((before - file_pages()) * PAGE < TAKEN * 3L / 4)
        die("the pages are still there");
    read_own(memory, OWN);
}

static void lent(void) {
    char *memory = mmap(NULL, LENT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        die("mmap");
    pid_t child = vfork();
    if (child == 0) {
        touch_borrowed(memory);
        execl("/bin/true", "true", NULL);
        _exit(1);
    }
    int status;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        die("the child");
    touch_own();
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "taken") == 0)
        taken();
    else
        lent();
    return 0;
}
