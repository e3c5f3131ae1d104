// Asks a hundred times for all of the address space, and lives on the exceptions: exit status 0 if it caught all of them.
#include <cstdio>
#include <new>
#include <unistd.h>

int main()
{
    // Until the probes are in.
    sleep(3);
    int n_caught = 0;
    volatile unsigned long n_bytes = 1ul << 47;
    for (int i = 0; i < 100; i++) {
        try {
            char *volatile memory = new char[n_bytes];
            delete[] memory;
        } catch (const std::bad_alloc &) {
            n_caught++;
        }
    }
    std::printf("caught %d\n", n_caught);
    return n_caught == 100 ? 0 : 1;
}
