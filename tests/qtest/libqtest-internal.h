/*
 * What the files of libqtest share.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef LIBQTEST_INTERNAL_H
#define LIBQTEST_INTERNAL_H

#include "libqtest.h"

struct QTestState {
    pid_t pid;
    int slot;            /* in children[] */
    int qtest_fd;
    int qmp_fd;
    GString *qtest_in;   /* received, not yet a whole line */
    GString *qmp_in;
    GQueue events;       /* of json_object, oldest first */
    char *stderr_path;
    bool exited;
    int wstatus;
    int expected_status;
};

/* All of @data, the descriptors with its first byte. */
void qtest_send(QTestState *s, int fd, const char *data, size_t size, int *fds, size_t nfds);
/* The next whole line without its end, or NULL if there is none and @wait is not set. */
char *qtest_receive_line(QTestState *s, int fd, GString *in, bool wait);
/* The next object of the QMP connection, or NULL as above. */
json_object *qtest_qmp_receive(QTestState *s, bool wait);

#endif /* LIBQTEST_INTERNAL_H */
