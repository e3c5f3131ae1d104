/* A few kilobytes of code with every shape of frame that a compiler makes: what the fuzzer starts from. It is
 * compiled without a C library, and never run.
 *
 * gcc -O2 -nostdlib -static -s -fomit-frame-pointer -Wl,--build-id=sha1 -o frames frames.c */
long with_variable_frame(long n);
long without_frame(long n);
long realigned(long n);
void _start(void);

__attribute__((noinline)) static long keep(volatile long *words, long n)
{
    long sum = 0;
    for (long i = 0; i < n; i++)
        sum += words[i];
    return sum;
}

__attribute__((noinline)) long with_variable_frame(long n)
{
    volatile long words[n + 1];
    words[n] = n;
    return keep(words, n);
}

__attribute__((noinline)) long without_frame(long n)
{
    return n * 3;
}

__attribute__((noinline)) long realigned(long n)
{
    volatile long words[8] __attribute__((aligned(64)));
    words[0] = with_variable_frame(n);
    words[7] = n;
    return keep(words, 8);
}

void _start(void)
{
    for (;;)
        realigned(without_frame(4));
}
