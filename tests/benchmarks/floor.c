/* What a delivery costs that is nothing but its system call: one send(2) of a small frame to each of many sockets.
 *
 *     floor SENDER_CORE READER_CORE SOCKETS ROUNDS
 *
 * A core of -1 is any. It prints the sender's CPU time, user and system, per send(2) in microseconds. The reader has
 * everything of a round before the next begins, as the clients of a room with one message outstanding.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { FRAME = 102, MOST = 1000 };

static void need(int good, const char *what) {
    if (!good) {
        perror(what);
        exit(1);
    }
}

static void keep_to(int core) {
    cpu_set_t cores;
    if (core < 0) return;
    CPU_ZERO(&cores);
    CPU_SET(core, &cores);
    need(!sched_setaffinity(0, sizeof cores, &cores), "sched_setaffinity");
}

static void read_all(const struct sockaddr_in *where, int sockets, long rounds, int done) {
    struct epoll_event ready[MOST];
    char buffer[4096];
    int watcher = epoll_create1(0);
    for (int i = 0; i < sockets; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        need(!connect(fd, (const struct sockaddr *)where, sizeof *where), "connect");
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        need(!epoll_ctl(watcher, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
    }
    for (long round = 0; round < rounds; round++) {
        for (long left = (long)sockets * FRAME; left > 0;) {
            int count = epoll_wait(watcher, ready, MOST, -1);
            for (int i = 0; i < count; i++) {
                ssize_t size = read(ready[i].data.fd, buffer, sizeof buffer);
                need(size > 0, "read");
                left -= size;
            }
        }
        need(write(done, "x", 1) == 1, "write");
    }
}

static double cpu_seconds(void) {
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return used.tv_sec + used.tv_nsec / 1e9;
}

int main(int count, char **words) {
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof where;
    int listener = socket(AF_INET, SOCK_STREAM, 0), rounds_done[2], one = 1, fds[MOST];
    if (count != 5) return 2;
    int sockets = atoi(words[3]);
    long rounds = atol(words[4]);
    need(sockets > 0 && sockets <= MOST, "SOCKETS");
    need(!bind(listener, (struct sockaddr *)&where, size) && !listen(listener, MOST), "listen");
    need(!getsockname(listener, (struct sockaddr *)&where, &size) && !pipe(rounds_done), "pipe");
    pid_t reader = fork();
    if (!reader) {
        keep_to(atoi(words[2]));
        read_all(&where, sockets, rounds, rounds_done[1]);
        _exit(0);
    }
    keep_to(atoi(words[1]));
    for (int i = 0; i < sockets; i++) {
        fds[i] = accept(listener, NULL, NULL);
        setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
    char frame[FRAME], said;
    memset(frame, 'x', sizeof frame);
    double before = cpu_seconds();
    for (long round = 0; round < rounds; round++) {
        for (int i = 0; i < sockets; i++) need(send(fds[i], frame, sizeof frame, 0) == FRAME, "send");
        need(read(rounds_done[0], &said, 1) == 1, "read");
    }
    printf("%.3f\n", (cpu_seconds() - before) / sockets / rounds * 1e6);
    return waitpid(reader, NULL, 0) == reader ? 0 : 1;
}
