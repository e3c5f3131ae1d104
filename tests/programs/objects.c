/* Objects with a known fate, by functions of their own. After its work a program says "done" and sleeps, unless it
 * is told how long: then it ends.
 *
 * kept        kept_1k keeps 16 MiB in pieces of 1 KiB, kept_64k 32 MiB; freed_1k takes 16 MiB and frees it
 * crossed     taken_here takes 32 MiB in pieces of 4 KiB, which another thread frees; left_here 16 MiB, which nobody does
 * forked      kept_64k keeps 32 MiB; a child frees its copies of them and ends
 * forked_more the same, and the child stays and keeps 16 MiB of its own by kept_1k
 * executed    kept_64k keeps 32 MiB, and the program executes itself with `kept`
 * resized     grown_here makes 32 objects of 1 MiB twice as large; refused_here cannot do so with 16 others; given_up
 *             makes 16 others nothing
 * failing     fails_here asks 1,000 times for 1 GiB that it cannot have
 * aligned     aligned_here takes 16 MiB by posix_memalign, aligned to 64, zeroed_here 16 MiB by calloc: both kept
 * crowd       100 threads at once; each takes 2 MiB in pieces of 4 KiB (crowd_takes) and frees every second one
 * unseen      64 pieces of 64 bytes of taken_64 are freed by a child that shares the memory, whose free nobody sees;
 *             again_64 gets the same places
 *
 * usage: objects MODE [SECONDS] */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline, noclone))
#define KIB 1024ul
#define MIB (1024ul * 1024ul)
#define MAX_KEPT 65536
#define N_THREADS 100

static void *kept[MAX_KEPT];
static size_t n_kept;

static void *must(void *memory)
{
    if (!memory) {
        perror("malloc");
        exit(1);
    }
    return memory;
}

#define KEEP(name, how, total, piece)                                      \
    NOINLINE static void name(void)                                        \
    {                                                                      \
        for (size_t done = 0; done < (total); done += (piece))             \
            kept[n_kept++] = must(how);                                    \
    }

static void *aligned(size_t size)
{
    void *memory = NULL;
    return posix_memalign(&memory, 64, size) ? NULL : memory;
}

KEEP(kept_1k, malloc(KIB), 16 * MIB, KIB)
KEEP(kept_64k, malloc(64 * KIB), 32 * MIB, 64 * KIB)
KEEP(taken_here, malloc(4 * KIB), 32 * MIB, 4 * KIB)
KEEP(left_here, malloc(4 * KIB), 16 * MIB, 4 * KIB)
KEEP(zeroed_here, calloc(16, KIB), 16 * MIB, 16 * KIB)
KEEP(aligned_here, aligned(16 * KIB), 16 * MIB, 16 * KIB)
KEEP(taken_1m, malloc(MIB), 64 * MIB, MIB)

NOINLINE static void freed_1k(void)
{
    for (size_t done = 0; done < 16 * MIB; done += KIB) {
        void *volatile memory = must(malloc(KIB));
        free(memory);
    }
}

static void free_kept(size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        free(kept[i]);
}

static void *free_all(void *unused)
{
    (void)unused;
    free_kept(0, n_kept);
    n_kept = 0;
    return NULL;
}

static void crossed(void)
{
    pthread_t thread;
    taken_here();
    pthread_create(&thread, NULL, free_all, NULL);
    pthread_join(thread, NULL);
    left_here();
}

static void forked(int child_stays)
{
    kept_64k();
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        /* Until it has probes of its own, which come within a tenth of a second. */
        usleep(500000);
        free_kept(0, n_kept);
        n_kept = 0;
        if (!child_stays)
            _exit(0);
        kept_1k();
        pause();
    }
    if (!child_stays)
        waitpid(child, NULL, 0);
    else
        sleep(1);
}

NOINLINE static void grown_here(size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        kept[i] = must(realloc(kept[i], 2 * MIB));
}

NOINLINE static void refused_here(size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        if (realloc(kept[i], PTRDIFF_MAX / 2)) {
            fprintf(stderr, "no realloc should give as much\n");
            exit(1);
        }
}

NOINLINE static void given_up(size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        kept[i] = realloc(kept[i], 0);
}

static void resized(void)
{
    taken_1m();
    grown_here(0, 32);
    refused_here(32, 48);
    given_up(48, 64);
}

NOINLINE static void fails_here(void)
{
    for (int i = 0; i < 1000; i++) {
        void *volatile memory = malloc(1024 * MIB);
        if (memory) {
            fprintf(stderr, "the limit does not hold\n");
            exit(1);
        }
    }
}

static void failing(void)
{
    const struct rlimit limit = { 512 * MIB, 512 * MIB };
    setrlimit(RLIMIT_AS, &limit);
    fails_here();
}

KEEP(taken_64, malloc(64), 4 * KIB, 64)
KEEP(again_64, malloc(64), 4 * KIB, 64)

static void unseen(void)
{
    taken_64();
    pid_t child = vfork();
    if (child == 0) {
        free_kept(0, n_kept);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    n_kept = 0;
    again_64();
}

static pthread_barrier_t start;

NOINLINE static void crowd_takes(void **pieces, size_t n)
{
    for (size_t i = 0; i < n; i++)
        pieces[i] = must(malloc(4 * KIB));
}

static void *in_crowd(void *unused)
{
    static __thread void *pieces[512];
    (void)unused;
    pthread_barrier_wait(&start);
    crowd_takes(pieces, 512);
    for (size_t i = 0; i < 512; i += 2)
        free(pieces[i]);
    return NULL;
}

static void crowd(void)
{
    pthread_t threads[N_THREADS];
    pthread_barrier_init(&start, NULL, N_THREADS);
    for (int i = 0; i < N_THREADS; i++)
        pthread_create(&threads[i], NULL, in_crowd, NULL);
    for (int i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    /* Whoever looks on needs a moment to know the code. */
    usleep(700000);
    if (!strcmp(mode, "kept")) {
        kept_1k();
        kept_64k();
        freed_1k();
    } else if (!strcmp(mode, "crossed")) {
        crossed();
    } else if (!strcmp(mode, "forked")) {
        forked(0);
    } else if (!strcmp(mode, "forked_more")) {
        forked(1);
    } else if (!strcmp(mode, "executed")) {
        kept_64k();
        /* The program is probed anew. */
        execl("/proc/self/exe", "objects", "kept", argc > 2 ? argv[2] : NULL, NULL);
        perror("execl");
        return 1;
    } else if (!strcmp(mode, "resized")) {
        resized();
    } else if (!strcmp(mode, "failing")) {
        failing();
    } else if (!strcmp(mode, "aligned")) {
        aligned_here();
        zeroed_here();
    } else if (!strcmp(mode, "unseen")) {
        unseen();
    } else if (!strcmp(mode, "crowd")) {
        crowd();
    } else {
        fprintf(stderr, "usage: objects MODE [SECONDS]\n");
        return 2;
    }
    puts("done");
    fflush(stdout);
    if (argc > 2)
        sleep((unsigned)atoi(argv[2]));
    else
        pause();
    return 0;
}
