// What a switch from one thread to another takes, and what a system call takes, on one CPU.
//
//   pingpong CPU
//
// For each line on standard input it measures both, and prints the nanoseconds of one switch and of one system call.
// Two threads pass a byte to and fro through pipes, each below 20 calls; a round is short, and the best of many counts.
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { DEPTH = 20, ROUNDS = 15, PASSES = 20000, CALLS = 200000 };

static int cpu, there[2], back[2];

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void pin(void) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set)) exit(2);
}

static void echo(void) {
    char c;
    while (read(there[0], &c, 1) == 1)
        if (write(back[1], &c, 1) != 1) exit(2);
}

static void pass(void) {
    char c = 'x';
    for (int i = 0; i < PASSES; i++)
        if (write(there[1], &c, 1) != 1 || read(back[0], &c, 1) != 1) exit(2);
}

__attribute__((noinline)) static int below(int depth, void (*work)(void)) {
    if (depth == 0) {
        work();
        return 0;
    }
    int result = below(depth - 1, work);
    __asm__ volatile("" ::: "memory");
    return result + 1;
}

static void *other(void *unused) {
    (void)unused;
    pin();
    below(DEPTH, echo);
    return NULL;
}

static double best(void (*work)(void), int parts) {
    double least = 1e18;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t start = now_ns();
        below(DEPTH, work);
        double each = (double)(now_ns() - start) / parts;
        if (each < least) least = each;
    }
    return least;
}

static void call(void) {
    for (int i = 0; i < CALLS; i++) syscall(SYS_getppid);
}

int main(int argc, char **argv) {
    pthread_t thread;
    char line[64];
    if (argc != 2) return 2;
    cpu = atoi(argv[1]);
    pin();
    if (pipe(there) || pipe(back) || pthread_create(&thread, NULL, other, NULL)) return 2;
    while (fgets(line, sizeof line, stdin)) {
        double one_switch = best(pass, 2 * PASSES);
        printf("%.1f %.1f\n", one_switch, best(call, CALLS));
        fflush(stdout);
    }
    return 0;
}
