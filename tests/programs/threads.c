/* Four threads of one process, each with a name and a function of its own: parse, route, compress, log.
 *
 * usage: threads [SECONDS]     10 by default */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#define THREAD(name, addend)                                                                         \
    __attribute__((noinline, noclone)) static void *name##_loop(void *unused)                        \
    {                                                                                                \
        (void)unused;                                                                                \
        prctl(PR_SET_NAME, #name);                                                                   \
        for (uint64_t x = 1;;) {                                                                     \
            x = x * 6364136223846793005u + addend;                                                   \
            __asm__ volatile("" : "+r"(x));                                                          \
        }                                                                                            \
        return NULL;                                                                                 \
    }

THREAD(parse, 1442695040888963407u)
THREAD(route, 3935559000370003845u)
THREAD(compress, 2691343689449507681u)
THREAD(log, 5425437543250375427u)

int main(int argc, char **argv)
{
    void *(*loops[])(void *) = {parse_loop, route_loop, compress_loop, log_loop};
    for (size_t i = 0; i < sizeof loops / sizeof *loops; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, loops[i], NULL) != 0) {
            fputs("pthread_create failed\n", stderr);
            return 1;
        }
    }
    double seconds = argc > 1 ? atof(argv[1]) : 10.0;
    usleep((useconds_t)(seconds * 1e6));
    return 0;
}
