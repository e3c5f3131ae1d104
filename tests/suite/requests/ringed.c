// Has two rings of io_uring, says so, and waits to be ended.
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void) {
    for (int i = 0; i < 2; i++) {
        // struct io_uring_params (include/uapi/linux/io_uring.h) has 120 bytes.
        char params[120] = {0};
        if (syscall(SYS_io_uring_setup, 8, params) < 0) {
            perror("io_uring_setup");
            return 1;
        }
    }
    puts("ready");
    fflush(stdout);
    pause();
    return 0;
}
