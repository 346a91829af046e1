/* The clients of a benchmark: many WebSockets in one small process, so that their own cost hides nothing of the server's.
 *
 *     load MODE PORT SERVER_PID REDIS_PID PATH GROUPS MEMBERS OUTSTANDING WARM_UP COUNT HOLD_SECONDS
 *
 * PATH may hold one %d, the number of the group. It prints one JSON object; times are CPU seconds of the watched processes.
 *
 *     room   GROUPS x MEMBERS clients; COUNT messages, OUTSTANDING at any moment, each counted at each member of its group
 *     open   COUNT clients connect and stay for HOLD_SECONDS, answering pings
 *     churn  COUNT clients connect, close and leave, OUTSTANDING at a time
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 16384, TEXT = 1, CLOSE = 8, PING = 9, PONG = 10, SILENCE_MS = 15000, NUMBER_AT = 13, MESSAGE = 100 };

struct client {
    int fd, group;
    size_t held;
    unsigned char *buffer, *seen;
};

struct figures {
    double server, redis, mine, clock;
};

static const char *path;
static int port, server_pid, redis_pid, groups, members, outstanding, clients, total;
static int next_message, stop_at, complete, left, watcher, closed;
static long twice, reads;
static int *arrived;
static struct client *all;

static void die(const char *what, ...) {
    va_list rest;
    va_start(rest, what);
    vfprintf(stderr, what, rest);
    fprintf(stderr, " (%s)\n", strerror(errno));
    exit(1);
}

/* Time on a core so far, of all threads, in seconds; not rounded to the ticks of /proc. */
static double cpu_seconds(int pid) {
    clockid_t clock;
    struct timespec used = {0, 0};
    if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &used)) return 0;
    return used.tv_sec + used.tv_nsec / 1e9;
}

static long resident_bytes(void) {
    char name[64];
    long pages = 0;
    snprintf(name, sizeof name, "/proc/%d/statm", server_pid);
    FILE *file = fopen(name, "r");
    if (!file || fscanf(file, "%*d %ld", &pages) != 1) die("no memory figures of %d", server_pid);
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

static struct figures look(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (struct figures){cpu_seconds(server_pid), cpu_seconds(redis_pid), cpu_seconds(getpid()), now.tv_sec + now.tv_nsec / 1e9};
}

static void send_frame(struct client *to, int opcode, const void *payload, size_t size) {
    unsigned char frame[140] = {0x80 | opcode, 0x80 | size}; /* masked with zeros, which leaves the payload as it is */
    memcpy(frame + 6, payload, size);
    if (write(to->fd, frame, size + 6) != (ssize_t)size + 6) die("a client cannot send");
}

static void send_next(void) {
    char text[MESSAGE + 1];
    int number = next_message++;
    int at = snprintf(text, sizeof text, "{\"message\": \"%08d ", number);
    memset(text + at, 'x', MESSAGE - at);
    memcpy(text + MESSAGE - 2, "\"}", 2);
    send_frame(&all[number % clients], TEXT, text, MESSAGE);
}

static void delivered(struct client *to, const unsigned char *payload, size_t size) {
    if (size < NUMBER_AT + 8) die("a message of %zu bytes", size);
    int number = atoi((const char *)payload + NUMBER_AT);
    if (number < 0 || number >= total) die("message %d", number);
    if (to->seen[number]++) {
        twice++;
        return;
    }
    if (++arrived[number] < members) return;
    complete++;
    if (next_message < stop_at) send_next();
}

/* Take every whole frame out of the buffer. */
static void take_frames(struct client *of) {
    unsigned char *at = of->buffer, *end = of->buffer + of->held;
    while (end - at >= 2) {
        size_t size = at[1], head = 2;
        if (size == 126) size = at[2] << 8 | at[3], head = 4;
        if (size == 127) die("a frame that is too long");
        if ((size_t)(end - at) < head + size) break;
        int opcode = at[0] & 15;
        if (opcode == TEXT) delivered(of, at + head, size);
        if (opcode == PING) send_frame(of, PONG, at + head, size);
        if (opcode == CLOSE) closed++;
        at += head + size;
    }
    of->held = end - at;
    memmove(of->buffer, at, of->held);
}

static ssize_t receive(struct client *of) {
    ssize_t got = read(of->fd, of->buffer + of->held, BUFFER - of->held);
    if (got > 0) of->held += got, reads++;
    return got;
}

/* Wait for something; return 0 when nothing comes any more, or the time is over. */
static int turn(int longest_ms) {
    struct epoll_event events[256];
    int ready = epoll_wait(watcher, events, 256, longest_ms);
    for (int each = 0; each < ready; each++) {
        struct client *of = events[each].data.ptr;
        ssize_t got = receive(of);
        if (got > 0) {
            take_frames(of);
        } else if (got == 0 || errno != EAGAIN) {
            epoll_ctl(watcher, EPOLL_CTL_DEL, of->fd, NULL);
            left++;
        }
    }
    return ready > 0;
}

static void begin(struct client *one, int group) {
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char request[600], place[200];
    int on = 1;
    one->group = group;
    one->held = 0;
    one->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (one->fd < 0 || connect(one->fd, (void *)&where, sizeof where)) die("cannot connect");
    setsockopt(one->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    snprintf(place, sizeof place, path, group);
    int size = snprintf(request, sizeof request,
        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nOrigin: http://127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n", place, port, port);
    if (write(one->fd, request, size) != size) die("cannot ask");
}

static void end_handshake(struct client *one) {
    unsigned char *end = NULL;
    while (!end) {
        if (receive(one) <= 0) die("closed during the handshake");
        end = memmem(one->buffer, one->held, "\r\n\r\n", 4);
    }
    if (memcmp(one->buffer, "HTTP/1.1 101", 12)) die("refused: %.40s", one->buffer);
    one->held -= end + 4 - one->buffer;
    memmove(one->buffer, end + 4, one->held);
    fcntl(one->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = one};
    epoll_ctl(watcher, EPOLL_CTL_ADD, one->fd, &event);
    take_frames(one);
}

/* Let clients from first to last connect, some at a time. */
static void open_clients(int first, int last, int at_once) {
    for (int start = first; start < last; start += at_once) {
        int end = start + at_once < last ? start + at_once : last;
        for (int each = start; each < end; each++) begin(&all[each], each % groups);
        for (int each = start; each < end; each++) end_handshake(&all[each]);
    }
}

static void close_clients(int count) {
    closed = left = 0;
    for (int each = 0; each < count; each++) send_frame(&all[each], CLOSE, "\x03\xe8", 2);
    while (left < count && turn(SILENCE_MS)) {}
    for (int each = 0; each < count; each++) close(all[each].fd);
}

static void run_messages(int count) {
    stop_at = next_message + count;
    for (int each = 0; each < outstanding && next_message < stop_at; each++) send_next();
    while (complete < stop_at && turn(SILENCE_MS)) {}
}

static void churn(int count) {
    for (int done = 0; done < count; done += outstanding) {
        open_clients(0, outstanding, outstanding);
        close_clients(outstanding);
    }
}

int main(int count_of, char **words) {
    if (count_of != 12) die("see the head of this file");
    const char *mode = words[1];
    path = words[5];
    int *numbers[] = {&port, &server_pid, &redis_pid, NULL, &groups, &members, &outstanding};
    for (int each = 0; each < 7; each++) if (numbers[each]) *numbers[each] = atoi(words[each + 2]);
    int warm_up = atoi(words[9]), count = atoi(words[10]), hold = atoi(words[11]);
    int is_room = !strcmp(mode, "room"), is_churn = !strcmp(mode, "churn");
    total = is_room ? warm_up + count : 0;
    clients = is_room ? groups * members : is_churn ? outstanding : warm_up + count;
    all = calloc(clients, sizeof *all);
    arrived = calloc(total + 1, sizeof *arrived);
    watcher = epoll_create1(0);
    for (int each = 0; each < clients; each++) {
        all[each].buffer = malloc(BUFFER);
        all[each].seen = calloc(total + 1, 1);
    }
    if (is_room) open_clients(0, clients, 16), run_messages(warm_up);
    else if (is_churn) churn(warm_up);
    else open_clients(0, warm_up, outstanding);

    int before_these = complete;
    long reads_before = reads;
    long resident = resident_bytes();
    struct figures before = look();
    if (is_room) run_messages(count);
    else if (is_churn) churn(count);
    else open_clients(warm_up, clients, outstanding);
    struct figures after = look();
    long reads_after = reads;
    long grown = resident_bytes() - resident;

    struct figures held = after;
    while (!is_room && !is_churn && held.clock < after.clock + hold) turn((after.clock + hold - held.clock) * 1000 + 1), held = look();
    if (!is_churn) close_clients(clients);
    long deliveries = 0, lost = 0;
    for (int each = 0; each < total; each++) {
        if (each >= warm_up) deliveries += arrived[each];
        lost += members - arrived[each];
    }
    printf("{\"deliveries\": %ld, \"lost\": %ld, \"twice\": %ld, \"seconds\": %f, \"server_cpu_seconds\": %f, "
           "\"redis_cpu_seconds\": %f, \"client_cpu_seconds\": %f, \"complete\": %d, \"grown_bytes\": %ld, "
           "\"hold_cpu_seconds\": %f, \"hold_seconds\": %f, \"reads\": %ld}\n",
           deliveries, lost, twice, after.clock - before.clock, after.server - before.server, after.redis - before.redis,
           after.mine - before.mine, complete - before_these, grown, held.server - after.server, held.clock - after.clock, reads_after - reads_before);
}
