/* Process 1 of each pod: it holds the pod's namespaces until it is told to end, and collects orphans. */
#include <signal.h>
#include <unistd.h>

int main(void) {
    struct sigaction no_zombies = {.sa_handler = SIG_IGN, .sa_flags = SA_NOCLDWAIT};
    sigset_t ending;
    int received;

    sigaction(SIGCHLD, &no_zombies, NULL);
    sigemptyset(&ending);
    sigaddset(&ending, SIGINT);
    sigaddset(&ending, SIGTERM);
    sigprocmask(SIG_BLOCK, &ending, NULL);
    return sigwait(&ending, &received);
}
