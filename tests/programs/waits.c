// Waits for known times: in a read from a pipe that another thread fills late, and where there is nothing to do.
//
//   waits ROUNDS BLOCKED_MS IDLE_MS BUSY_MS
//
// Each round, the main thread reads (blocked), waits in epoll (idle), and computes. In the end it says how long each
// took by the clock, in nanoseconds.
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

static int pipe_fds[2];
static int blocked_ms, idle_ms, busy_ms;
static atomic_int asked;
static volatile uint64_t sink;

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void *feeder(void *unused) {
    (void)unused;
    for (int served = 0;;) {
        if (atomic_load(&asked) == served) {
            usleep(100);
            continue;
        }
        usleep((useconds_t)blocked_ms * 1000);
        served++;
        if (write(pipe_fds[1], "x", 1) != 1) return NULL;
    }
}

__attribute__((noinline)) static void wait_for_data(void) {
    char byte;
    atomic_fetch_add(&asked, 1);
    if (read(pipe_fds[0], &byte, 1) != 1) exit(1);
    sink++;
}

__attribute__((noinline)) static void wait_for_events(int epoll) {
    struct epoll_event event;
    epoll_wait(epoll, &event, 1, idle_ms);
    sink++;
}

__attribute__((noinline)) static void compute(void) {
    for (uint64_t end = now_ns() + (uint64_t)busy_ms * 1000000u; now_ns() < end;) sink++;
}

int main(int argc, char **argv) {
    int rounds = argc > 1 ? atoi(argv[1]) : 20;
    blocked_ms = argc > 2 ? atoi(argv[2]) : 20;
    idle_ms = argc > 3 ? atoi(argv[3]) : 30;
    busy_ms = argc > 4 ? atoi(argv[4]) : 10;
    pthread_t thread;
    int epoll = epoll_create1(0);
    if (epoll < 0 || pipe(pipe_fds) != 0 || pthread_create(&thread, NULL, feeder, NULL) != 0) return 1;
    uint64_t sums[3] = {0};
    for (int i = 0; i < rounds; i++) {
        uint64_t start = now_ns();
        wait_for_data();
        uint64_t read_ns = now_ns();
        wait_for_events(epoll);
        uint64_t idle_until_ns = now_ns();
        compute();
        sums[0] += read_ns - start;
        sums[1] += idle_until_ns - read_ns;
        sums[2] += now_ns() - idle_until_ns;
    }
    printf("%llu %llu %llu\n", (unsigned long long)sums[0], (unsigned long long)sums[1],
           (unsigned long long)sums[2]);
    fflush(stdout);
    return 0;
}
