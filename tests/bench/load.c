/* Load for benchmarks; results are JSON, one object a line.
 *
 *   load serve PLACE                        the backend: TCP and UDP
 *   load bulk PLACE BACKEND SECONDS STREAMS bytes that arrived at BACKEND, sent by way of PLACE
 *   load connect PLACE SECONDS AT_ONCE      new connections, one byte there and back on each
 *   load echo tcp|udp PLACE SECONDS FLOWS   one byte there and back, one at a time on each flow
 *   load hold PLACE CONNECTIONS             idle connections, until its input ends
 *
 * A place is ADDRESS:PORT, or PORT of 127.0.0.1.
 *
 * The first byte of a connection tells the backend what it is for: BULK + n, stream n of a
 * bulk; COUNT, the question how many bytes of bulk came so far; ECHO, all bytes go back.
 * Stream n is a pattern from n * STRIDE on. Its period is a prime, so that no loss, repetition
 * or exchange of whole pages, segments or pipes fits it. The backend compares every byte. At the
 * stream's end it tells how many were right, and `load bulk` fails unless that is all.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { COUNT = 'c', ECHO = 'e', BULK = 128 };
enum { PERIOD = 65521, STRIDE = 1009, CHUNK = 128 << 10 };
enum { DESCRIPTORS = 1 << 16, EVENTS = 256, SAMPLES = 1 << 22 };

static const double WARM_UP = 0.2;

static char pattern[PERIOD + CHUNK];
static char buffer[CHUNK];

struct stream {
    uint64_t moved;
    uint32_t start;
    unsigned char kind;
    bool wrong;
};

static void fail(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, errno ? strerror(errno) : "not as expected");
    exit(1);
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static void make_pattern(void)
{
    uint32_t value = 1;

    for (int i = 0; i < PERIOD; i++) {
        value = value * 1664525 + 1013904223;
        pattern[i] = value >> 24;
    }
    for (int i = PERIOD; i < (int)sizeof pattern; i++)
        pattern[i] = pattern[i - PERIOD];
}

/* What comes next in a stream; at least CHUNK bytes are there. */
static const char *expected(const struct stream *stream)
{
    return pattern + (stream->start + stream->moved) % PERIOD;
}

static struct sockaddr_in place(const char *text)
{
    struct sockaddr_in found = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const char *colon = strrchr(text, ':');
    char address[INET_ADDRSTRLEN];

    if (colon) {
        snprintf(address, sizeof address, "%.*s", (int)(colon - text), text);
        if (inet_pton(AF_INET, address, &found.sin_addr) != 1)
            fail(text);
    }
    found.sin_port = htons(atoi(colon ? colon + 1 : text));
    return found;
}

static void watch(int epoll, int operation, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};

    if (epoll_ctl(epoll, operation, fd, &event) < 0)
        fail("epoll_ctl");
}

static int dial(int type, const char *text)
{
    struct sockaddr_in address = place(text);
    int fd = socket(AF_INET, type, 0), one = 1;

    if (fd < 0)
        fail("socket");
    if (type & SOCK_STREAM)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS)
        fail("connect");
    return fd;
}

static void reset(int fd)
{
    struct linger none = {.l_onoff = 1, .l_linger = 0};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    close(fd);
}

static void say(int fd, char byte)
{
    if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1)
        fail("send");
}

static void hear(int fd, char byte)
{
    char got;

    if (recv(fd, &got, 1, 0) != 1 || got != byte)
        fail("echo");
}

static uint64_t number_from(int fd)
{
    uint64_t number;

    if (recv(fd, &number, sizeof number, MSG_WAITALL) != sizeof number)
        fail("the backend's count");
    return number;
}

/* The backend */

static struct stream streams[DESCRIPTORS];
static uint64_t arrived;

static void welcome(int epoll, int listener)
{
    int fd, one = 1;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        streams[fd] = (struct stream){0};
        watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN);
    }
}

static void take(int fd)
{
    struct stream *stream = &streams[fd];
    ssize_t size = recv(fd, buffer, sizeof buffer, 0);
    char *data = buffer;

    if (size < 0 && errno == EAGAIN)
        return;
    if (size <= 0) {
        if (size == 0 && stream->kind == BULK && !stream->wrong)
            send(fd, &stream->moved, sizeof stream->moved, MSG_NOSIGNAL);
        close(fd);
        return;
    }
    if (!stream->kind) {
        unsigned char first = data[0];

        stream->kind = first >= BULK ? BULK : first;
        if (first >= BULK) {
            stream->start = (first - BULK) * STRIDE;
            data++, size--;
        }
    }
    if (stream->kind == BULK) {
        if (memcmp(data, expected(stream), size))
            stream->wrong = true;
        stream->moved += size;
        arrived += size;
    } else if (stream->kind == COUNT) {
        send(fd, &arrived, sizeof arrived, MSG_NOSIGNAL);
    } else {
        send(fd, data, size, MSG_NOSIGNAL);
    }
}

static void answer(int fd)
{
    struct sockaddr_in client;
    socklen_t length = sizeof client;
    ssize_t size;

    while ((size = recvfrom(fd, buffer, sizeof buffer, 0, (struct sockaddr *)&client, &length)) >= 0)
        sendto(fd, buffer, size, 0, (struct sockaddr *)&client, length);
}

static void serve(const char *text)
{
    struct sockaddr_in address = place(text);
    struct epoll_event events[EVENTS];
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    int datagrams = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    int epoll = epoll_create1(0);

    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0
        || bind(datagrams, (struct sockaddr *)&address, sizeof address) < 0
        || listen(listener, 4096) < 0)
        fail("the backend's port");
    watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN);
    watch(epoll, EPOLL_CTL_ADD, datagrams, EPOLLIN);
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS, -1);

        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;

            if (fd == listener)
                welcome(epoll, fd);
            else if (fd == datagrams)
                answer(fd);
            else
                take(fd);
        }
    }
}

/* The clients */

static uint64_t arrivals(int question)
{
    say(question, COUNT);
    return number_from(question);
}

static void bulk(const char *text, const char *backend, double seconds, int count)
{
    struct stream sent[BULK] = {0};
    struct epoll_event events[EVENTS];
    int fds[BULK], epoll = epoll_create1(0), question = dial(SOCK_STREAM, backend);
    double started = now(), from = 0, until;
    uint64_t before = 0, after, total = 0;

    for (int i = 0; i < count; i++) {
        fds[i] = dial(SOCK_STREAM, text);
        say(fds[i], BULK + i);
        sent[i].start = i * STRIDE;
        struct epoll_event event = {.events = EPOLLOUT, .data.u32 = i};
        epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event);
    }
    while (!from || now() < from + seconds) {
        int ready = epoll_wait(epoll, events, EVENTS, 100);

        for (int i = 0; i < ready; i++) {
            struct stream *stream = &sent[events[i].data.u32];
            ssize_t size = send(fds[events[i].data.u32], expected(stream), CHUNK,
                                MSG_DONTWAIT | MSG_NOSIGNAL);
            if (size > 0)
                stream->moved += size;
            else if (errno != EAGAIN)
                fail("send");
        }
        if (!from && now() > started + WARM_UP) {
            before = arrivals(question);
            from = now();
        }
    }
    after = arrivals(question);
    until = now();
    for (int i = 0; i < count; i++) {
        shutdown(fds[i], SHUT_WR);
        errno = 0;
        if (number_from(fds[i]) != sent[i].moved)
            fail("bytes that arrived");
        total += sent[i].moved;
    }
    printf("{\"Gbit/s\": %.3f, \"GB\": %.6f}\n", (after - before) * 8 / (until - from) / 1e9,
           total / 1e9);
}

static void connections(const char *text, double seconds, int at_once)
{
    struct epoll_event events[EVENTS];
    int epoll = epoll_create1(0);
    double started = now();
    uint64_t done = 0;

    for (int i = 0; i < at_once; i++)
        watch(epoll, EPOLL_CTL_ADD, dial(SOCK_STREAM | SOCK_NONBLOCK, text), EPOLLOUT);
    while (now() < started + seconds) {
        int ready = epoll_wait(epoll, events, EVENTS, 100);

        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;

            errno = 0;
            if (events[i].events & EPOLLOUT) {
                say(fd, ECHO);
                watch(epoll, EPOLL_CTL_MOD, fd, EPOLLIN);
            } else {
                hear(fd, ECHO);
                done++;
                reset(fd);
                watch(epoll, EPOLL_CTL_ADD, dial(SOCK_STREAM | SOCK_NONBLOCK, text), EPOLLOUT);
            }
        }
    }
    printf("{\"a second\": %.0f}\n", done / (now() - started));
}

static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

static void echo(int type, const char *text, double seconds, int flows)
{
    static double asked[DESCRIPTORS];
    static float took[SAMPLES];
    struct epoll_event events[EVENTS];
    int epoll = epoll_create1(0);
    uint32_t samples = 0;
    double started = now();

    for (int i = 0; i < flows; i++) {
        int fd = dial(type, text);

        watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN);
        asked[fd] = now();
        say(fd, ECHO);
    }
    while (now() < started + WARM_UP + seconds && samples < SAMPLES - EVENTS) {
        int ready = epoll_wait(epoll, events, EVENTS, 1000);

        errno = 0;
        if (ready <= 0)
            fail("no answer");
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;

            errno = 0;
            hear(fd, ECHO);
            if (asked[fd] > started + WARM_UP)
                took[samples++] = (now() - asked[fd]) * 1e6;
            asked[fd] = now();
            say(fd, ECHO);
        }
    }
    qsort(took, samples, sizeof *took, ascending);
    printf("{\"a second\": %.0f, \"median us\": %.2f, \"p99 us\": %.2f}\n",
           samples / (now() - started - WARM_UP), took[samples / 2], took[samples * 99 / 100]);
}

static void hold(const char *text, int count)
{
    char end;

    for (int i = 0; i < count; i++) {
        int fd = dial(SOCK_STREAM, text);

        say(fd, ECHO);
        hear(fd, ECHO);
    }
    puts("{}");
    fflush(stdout);
    if (read(STDIN_FILENO, &end, 1) < 0)
        fail("input");
}

int main(int count, char **words)
{
    const char *what = count > 1 ? words[1] : "";
    struct rlimit files = {DESCRIPTORS, DESCRIPTORS};

    setrlimit(RLIMIT_NOFILE, &files);
    make_pattern();
    if (!strcmp(what, "serve") && count == 3)
        serve(words[2]);
    else if (!strcmp(what, "bulk") && count == 6)
        bulk(words[2], words[3], atof(words[4]), atoi(words[5]));
    else if (!strcmp(what, "connect") && count == 5)
        connections(words[2], atof(words[3]), atoi(words[4]));
    else if (!strcmp(what, "echo") && count == 6)
        echo(strcmp(words[2], "udp") ? SOCK_STREAM : SOCK_DGRAM, words[3], atof(words[4]),
             atoi(words[5]));
    else if (!strcmp(what, "hold") && count == 4)
        hold(words[2], atoi(words[3]));
    else
        return 2;
    return 0;
}
