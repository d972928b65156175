/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the machine itself can do, as a measure for what a migration does on it:
 *
 *   limits memcpy SIZE        copies SIZE bytes of distinct, resident memory to resident memory
 *   limits read SIZE          reads as much (what finding zero pages costs at least)
 *   limits fault SIZE         writes a byte to every page of fresh anonymous memory
 *   limits tcp|unix SIZE [TOUCH]   sends SIZE bytes to another process over a loopback stream
 *
 * For a stream, sender and receiver work in blocks of 1 MiB from and to memory of SIZE bytes. The
 * receiver's is fresh, as a migration's destination is; with TOUCH 1 it is resident.
 * Prints one line: seconds, and CPU seconds of both processes. What of several runs to believe is
 * the caller's to say.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BLOCK ((size_t)1 << 20)

static void __attribute__((noreturn)) die(const char *what)
{
    fprintf(stderr, "limits: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static double cpu_of(int who)
{
    struct rusage u;

    getrusage(who, &u);
    return u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static uint8_t *memory(size_t size, int fill)
{
    uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED) {
        die("mmap");
    }
    if (fill >= 0) {
        memset(p, fill, size);
    }
    return p;
}

/* Two connected stream sockets; a pair would do for unix, but a migration has a listener. */
static void connect_pair(int tcp, int *send_fd, int *receive_fd)
{
    int one = 1, listener, fd;

    if (tcp) {
        struct sockaddr_in a = { .sin_family = AF_INET,
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t length = sizeof(a);

        listener = socket(AF_INET, SOCK_STREAM, 0);
        fd = socket(AF_INET, SOCK_STREAM, 0);
        if (listener < 0 || fd < 0 || bind(listener, (struct sockaddr *)&a, sizeof(a))
            || listen(listener, 1) || getsockname(listener, (struct sockaddr *)&a, &length)
            || connect(fd, (struct sockaddr *)&a, sizeof(a))) {
            die("tcp");
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    } else {
        struct sockaddr_un a = { .sun_family = AF_UNIX };

        snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, "godwit-limits-%d", getpid());
        listener = socket(AF_UNIX, SOCK_STREAM, 0);
        fd = socket(AF_UNIX, SOCK_STREAM, 0);
        if (listener < 0 || fd < 0 || bind(listener, (struct sockaddr *)&a, sizeof(a))
            || listen(listener, 1) || connect(fd, (struct sockaddr *)&a, sizeof(a))) {
            die("unix");
        }
    }
    *send_fd = fd;
    *receive_fd = accept(listener, NULL, NULL);
    if (*receive_fd < 0) {
        die("accept");
    }
    close(listener);
}

static void stream(int tcp, size_t size, int touched)
{
    int out, in, ready[2];
    pid_t child;
    char byte;
    double began, used = 0;

    connect_pair(tcp, &out, &in);
    if (pipe(ready)) {
        die("pipe");
    }
    child = fork();
    if (child < 0) {
        die("fork");
    }
    if (child == 0) {
        uint8_t *to = memory(size, touched ? 1 : -1);

        close(out);
        used = cpu_of(RUSAGE_SELF);
        if (write(ready[1], "r", 1) != 1) {
            die("pipe");
        }
        for (size_t at = 0; at < size;) {
            ssize_t n = recv(in, to + at, size - at < BLOCK ? size - at : BLOCK, 0);

            if (n < 0) {
                die("recv");
            }
            if (n == 0) {
                _exit(1);
            }
            at += n;
        }
        used = cpu_of(RUSAGE_SELF) - used;
        _exit(write(ready[1], &used, sizeof(used)) != sizeof(used));
    }

    uint8_t *from = memory(size, 2);

    close(in);
    if (read(ready[0], &byte, 1) != 1) {
        die("the receiver");
    }
    double cpu = cpu_of(RUSAGE_SELF);

    began = now();
    for (size_t at = 0; at < size;) {
        ssize_t n = send(out, from + at, size - at < BLOCK ? size - at : BLOCK, 0);

        if (n < 0) {
            die("send");
        }
        at += n;
    }
    if (read(ready[0], &used, sizeof(used)) != sizeof(used)) {
        die("the receiver");
    }

    double seconds = now() - began;

    cpu = cpu_of(RUSAGE_SELF) - cpu;
    waitpid(child, NULL, 0);
    printf("%.6f %.6f\n", seconds, cpu + used);
}

int main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[1] : "";
    size_t size = argc > 2 ? strtoull(argv[2], NULL, 0) / BLOCK * BLOCK : 0;
    double began, cpu;

    if (!size) {
        fprintf(stderr, "Usage: limits memcpy|read|fault|tcp|unix SIZE [TOUCH]\n");
        return 2;
    }
    if (!strcmp(what, "tcp") || !strcmp(what, "unix")) {
        stream(!strcmp(what, "tcp"), size, argc > 3 && atoi(argv[3]));
        return 0;
    }

    uint8_t *from = strcmp(what, "fault") ? memory(size, 1) : NULL;
    uint8_t *to = strcmp(what, "read") ? memory(size, from ? 2 : -1) : NULL;

    cpu = cpu_of(RUSAGE_SELF);
    began = now();
    if (!strcmp(what, "memcpy")) {
        memcpy(to, from, size);
    } else if (!strcmp(what, "read")) {
        uint64_t sum = 0;

        for (size_t i = 0; i < size / 8; i += 4) {
            const uint64_t *p = (const uint64_t *)from + i;

            sum |= p[0] | p[1] | p[2] | p[3];
        }
        __asm__ volatile("" : : "r"(sum));
    } else if (!strcmp(what, "fault")) {
        for (size_t at = 0; at < size; at += 4096) {
            to[at] = 1;
        }
    } else {
        fprintf(stderr, "limits: unknown: %s\n", what);
        return 2;
    }
    printf("%.6f %.6f\n", now() - began, cpu_of(RUSAGE_SELF) - cpu);
    return 0;
}
