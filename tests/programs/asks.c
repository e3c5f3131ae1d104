// Serves requests of HTTP to itself, over a socket without a network: as many as it is told, in pieces that are known.
//
//   asks REQUESTS
//
// A thread asks: GET /items/7, whose head goes out in two writes, with an answer whose body follows its head in a vector; and every
// tenth time GET /missing, which is answered with 404 and a body in chunks.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

static int n_requests;
static struct sockaddr_un address = {.sun_family = AF_UNIX};

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void put(int fd, const char *text) {
    size_t n = strlen(text);
    if (write(fd, text, n) != (ssize_t)n) fail("write");
}

// Reads until what was read ends with a text.
static void take(int fd, const char *end) {
    char bytes[4096];
    size_t n = 0, n_end = strlen(end);
    while (n < n_end || memcmp(bytes + n - n_end, end, n_end) != 0) {
        ssize_t n_read = read(fd, bytes + n, sizeof bytes - n);
        if (n_read <= 0) fail("read");
        n += (size_t)n_read;
    }
}

static void *ask(void *unused) {
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) fail("connect");
    for (int i = 0; i < n_requests; i++) {
        if (i % 10 == 9) {
            put(fd, "GET /missing?secret HTTP/1.1\r\nHost: x\r\n\r\n");
            take(fd, "\r\n0\r\n\r\n");
        } else {
            put(fd, "GET /items/7?secret HTTP/1.1\r\nHo");
            put(fd, "st: x\r\n\r\n");
            take(fd, "\r\n\r\nhello");
        }
    }
    close(fd);
    return unused;
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    n_requests = atoi(argv[1]);
    // An abstract name: no file, no network.
    snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "asks-%d", getpid());
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 1) != 0) fail("listen");
    pthread_t asking;
    if (pthread_create(&asking, NULL, ask, NULL) != 0) fail("thread");
    int fd = accept(listener, NULL, NULL);
    if (fd < 0) fail("accept");
    for (int i = 0; i < n_requests; i++) {
        take(fd, "\r\n\r\n");
        if (i % 10 == 9) {
            put(fd, "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n");
            put(fd, "0\r\n\r\n");
        } else {
            char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", body[] = "hello";
            struct iovec pieces[] = {{head, sizeof head - 1}, {body, sizeof body - 1}};
            if (writev(fd, pieces, 2) != (ssize_t)(sizeof head + sizeof body - 2)) fail("writev");
        }
    }
    close(fd);
    pthread_join(asking, NULL);
    return 0;
}
