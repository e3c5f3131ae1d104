// The first thread ends; another goes on working for as many seconds as argv says.
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

static volatile unsigned long sink;

__attribute__((noinline)) static void orphan_work(double seconds) {
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        for (unsigned long i = 0; i < 1000000; i++) sink += i;
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - start.tv_sec) + (now.tv_nsec - start.tv_nsec) / 1e9 < seconds);
}

static void *orphan(void *seconds) {
    orphan_work(atof(seconds));
    return NULL;
}

int main(int argc, char **argv) {
    pthread_t thread;
    if (argc < 2 || pthread_create(&thread, NULL, orphan, argv[1]) != 0) return 1;
    struct timespec second = {1, 0};
    nanosleep(&second, NULL);
    pthread_exit(NULL);
}
