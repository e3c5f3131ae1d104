/* A master with two workers that reloads like nginx: at SIGHUP it forks new workers, then ends the old
 * ones; at SIGTERM it ends all and exits. Each worker burns CPU in worker_loop. Every worker ever forked
 * is named on standard output, as "worker GENERATION PID".
 *
 * usage: forker */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define N_WORKERS 2

__attribute__((noinline, noclone)) static void worker_loop(void)
{
    uint64_t x = 1;
    for (;;) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        __asm__ volatile("" : "+r"(x));
    }
}

static void fork_workers(pid_t workers[N_WORKERS], int generation, const sigset_t *unblocked)
{
    pid_t master = getpid();
    for (int i = 0; i < N_WORKERS; i++) {
        workers[i] = fork();
        if (workers[i] < 0) {
            perror("fork");
            exit(1);
        }
        if (workers[i] == 0) {
            /* A worker must not outlive a master that was killed; it may have been before prctl. */
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (getppid() != master)
                _exit(1);
            sigprocmask(SIG_SETMASK, unblocked, NULL);
            worker_loop();
        }
        printf("worker %d %d\n", generation, (int)workers[i]);
        fflush(stdout);
    }
}

static void end_workers(const pid_t workers[N_WORKERS])
{
    for (int i = 0; i < N_WORKERS; i++) {
        kill(workers[i], SIGTERM);
        while (waitpid(workers[i], NULL, 0) < 0 && errno == EINTR)
            ;
    }
}

int main(void)
{
    sigset_t waited, before;
    sigemptyset(&waited);
    sigaddset(&waited, SIGHUP);
    sigaddset(&waited, SIGTERM);
    sigprocmask(SIG_BLOCK, &waited, &before);

    pid_t current[N_WORKERS];
    int generation = 1;
    fork_workers(current, generation, &before);
    for (;;) {
        int signal_number = 0;
        sigwait(&waited, &signal_number);
        if (signal_number == SIGTERM) {
            end_workers(current);
            return 0;
        }
        pid_t old[N_WORKERS];
        for (int i = 0; i < N_WORKERS; i++)
            old[i] = current[i];
        fork_workers(current, ++generation, &before);
        end_workers(old);
    }
}
