/* Brings two allocators of its own, so that they are probed: the first begins with an instruction that the kernel does
 * not let be probed, a push with a prefix that means nothing.
 *
 * usage: refused [SECONDS]     10 by default */
#include <stdlib.h>
#include <time.h>

void *pvalloc(size_t n_bytes);
void *valloc(size_t n_bytes);

__asm__(".globl pvalloc\n.type pvalloc, @function\npvalloc:\n"
        ".byte 0x2e\npush %rbp\npop %rbp\nxor %eax, %eax\nret\n.size pvalloc, . - pvalloc\n");

/* Gives an address that nobody uses. */
__asm__(".globl valloc\n.type valloc, @function\nvalloc:\n"
        "push %rbp\nmov %rsp, %rax\npop %rbp\nret\n.size valloc, . - valloc\n");

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 10.0;
    struct timespec rest = {.tv_nsec = 1000 * 1000};
    for (double past = 0; past < seconds; past += 0.001) {
        for (int i = 0; i < 100; i++)
            if (pvalloc(1) != NULL || valloc(4096) == NULL)
                return 1;
        nanosleep(&rest, NULL);
    }
    return 0;
}
