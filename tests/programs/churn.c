/* Four threads that allocate, hand over, check and free: what one filled, another may find and compare. Paced: each
 * does so many a millisecond, however long that takes.
 *
 * usage: churn [SECONDS [PER_MS]]     60 s, 100 each; SIGTERM ends it earlier
 * Says how many bytes it asked for a second, and ends with 1 if any byte was wrong. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define N_THREADS 4
#define N_SLOTS 4096
#define NS_PER_S 1000000000ull

struct block {
    uint64_t n_bytes;
    unsigned char bytes[];
};

static struct block *_Atomic slots[N_SLOTS];
static atomic_ullong n_asked, n_bytes_asked, n_wrong;
static volatile sig_atomic_t ended;
static unsigned long per_ms = 100;

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * NS_PER_S + (uint64_t)time.tv_nsec;
}

static void end(int signal)
{
    (void)signal;
    ended = 1;
}

static void check_and_free(struct block *block)
{
    if (block == NULL)
        return;
    for (uint64_t i = 0; i < block->n_bytes; i++)
        if (block->bytes[i] != (unsigned char)(block->n_bytes + i))
            atomic_fetch_add(&n_wrong, 1);
    free(block);
}

__attribute__((noinline, noclone)) static void churn_one(uint64_t *random)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    uint64_t n_bytes = 16 + (*random >> 40) % 240;
    struct block *block = malloc(sizeof *block + n_bytes);
    if (block == NULL) {
        perror("malloc");
        exit(2);
    }
    atomic_fetch_add(&n_asked, 1);
    atomic_fetch_add(&n_bytes_asked, sizeof *block + n_bytes);
    block->n_bytes = n_bytes;
    for (uint64_t i = 0; i < n_bytes; i++)
        block->bytes[i] = (unsigned char)(n_bytes + i);
    check_and_free(atomic_exchange(&slots[(*random >> 20) % N_SLOTS], block));
}

static void *churn(void *seed)
{
    uint64_t random = (uint64_t)(uintptr_t)seed;
    uint64_t due = now();
    while (!ended) {
        for (unsigned long i = 0; i < per_ms; i++)
            churn_one(&random);
        due += NS_PER_S / 1000;
        uint64_t time = now();
        if (time < due) {
            struct timespec rest = {.tv_nsec = (long)(due - time)};
            nanosleep(&rest, NULL);
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    uint64_t n_seconds = argc > 1 ? strtoul(argv[1], NULL, 10) : 60;
    if (argc > 2)
        per_ms = strtoul(argv[2], NULL, 10);
    signal(SIGTERM, end);
    uint64_t began = now();
    pthread_t threads[N_THREADS];
    for (uintptr_t i = 0; i < N_THREADS; i++)
        if (pthread_create(&threads[i], NULL, churn, (void *)(i + 1)) != 0)
            return 2;
    while (!ended && now() - began < n_seconds * NS_PER_S) {
        struct timespec rest = {.tv_nsec = 10 * 1000 * 1000};
        nanosleep(&rest, NULL);
    }
    ended = 1;
    for (int i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    double seconds = (double)(now() - began) / (double)NS_PER_S;
    for (int i = 0; i < N_SLOTS; i++)
        check_and_free(atomic_exchange(&slots[i], NULL));
    printf("%llu allocations, %.0f bytes a second, %llu wrong\n", atomic_load(&n_asked),
           (double)atomic_load(&n_bytes_asked) / seconds, atomic_load(&n_wrong));
    return atomic_load(&n_wrong) == 0 ? 0 : 1;
}
