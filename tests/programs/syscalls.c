/* Lives in the kernel, like a proxy that moves bytes: most samples are taken inside a system call, and
 * their user half must still be whole (main, pump, send_block | receive_block).
 *
 * usage: syscalls [SECONDS]     10 by default */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline, noclone))

static char block[16384];

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Two ends of one TCP connection over loopback, on a port that the kernel chooses. */
static void connect_pair(int ends[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t address_bytes = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, address_bytes) != 0 ||
        listen(listener, 1) != 0 || getsockname(listener, (struct sockaddr *)&address, &address_bytes) != 0)
        die("listen");
    ends[0] = socket(AF_INET, SOCK_STREAM, 0);
    if (ends[0] < 0 || connect(ends[0], (struct sockaddr *)&address, address_bytes) != 0)
        die("connect");
    ends[1] = accept(listener, NULL, NULL);
    if (ends[1] < 0)
        die("accept");
    close(listener);
}

NOINLINE static void send_block(int fd)
{
    for (size_t done = 0; done < sizeof block;) {
        ssize_t n = write(fd, block + done, sizeof block - done);
        if (n <= 0)
            die("write");
        done += (size_t)n;
    }
}

NOINLINE static void receive_block(int fd)
{
    for (size_t done = 0; done < sizeof block;) {
        ssize_t n = read(fd, block + done, sizeof block - done);
        if (n <= 0)
            die("read");
        done += (size_t)n;
    }
}

NOINLINE static unsigned long pump(const int ends[2], double end_s)
{
    unsigned long n_blocks = 0;
    while (now_s() < end_s) {
        for (int i = 0; i < 64; i++, n_blocks++) {
            send_block(ends[0]);
            receive_block(ends[1]);
        }
    }
    return n_blocks;
}

int main(int argc, char **argv)
{
    int ends[2];
    memset(block, 'x', sizeof block);
    connect_pair(ends);
    printf("%lu blocks\n", pump(ends, now_s() + (argc > 1 ? atof(argv[1]) : 10.0)));
    return 0;
}
