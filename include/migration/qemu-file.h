/*
 * QEMUFile: buffered, typed I/O on one direction of a migration channel.
 *
 * Integers are big-endian on the wire.  Output gathers small items in a buffer and large ones by
 * reference in an I/O vector; it is written when either is full, and by qemu_fflush().  Input
 * is read ahead into a buffer.
 *
 * Errors stick: after the first, output is dropped and input yields zeroes, so that callers
 * may check once at the end of a record.  The first error, with its reason, is kept.
 *
 * A QEMUFile belongs to one thread at a time; only qemu_file_shutdown, the error functions and
 * qemu_file_transferred may be called from others.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_QEMU_FILE_H
#define MIGRATION_QEMU_FILE_H

#include "qemu/atomic.h"

/* Take over the caller's reference to @ioc. */
QEMUFile *qemu_file_new_input(QIOChannel *ioc);
QEMUFile *qemu_file_new_output(QIOChannel *ioc);
/* The other direction of the same channel (return path); NULL where the channel cannot. */
QEMUFile *qemu_file_get_return_path(QEMUFile *f);
/* Flush, close, free.  Returns the file's last error (0 or -errno). */
int qemu_fclose(QEMUFile *f);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QEMUFile, qemu_fclose)
QIOChannel *qemu_file_get_ioc(QEMUFile *f);
/* Input: the peer has closed its end (or its process has ended), as far as this host can tell. */
bool qemu_file_peer_gone(QEMUFile *f);
/*
 * Either direction: the connection is looked at, without reading. True when one of its ends was
 * closed or shut down, so that nothing comes but what has come already.
 */
bool qemu_file_hung_up(QEMUFile *f);

/* Errors. 0 or -errno. */
int qemu_file_get_error(QEMUFile *f);
/* The same with a copy of the reason in *errp (when errp is not NULL and there is an error). */
int qemu_file_get_error_obj(QEMUFile *f, Error **errp);
void qemu_file_set_error(QEMUFile *f, int ret);
/* Takes @err over; the first error wins. */
void qemu_file_set_error_obj(QEMUFile *f, int ret, Error *err);
/* The error as it is now, with its reason; clears nothing. Without one: 0. */
int qemu_file_get_error_obj_any(QEMUFile *f1, QEMUFile *f2, Error **errp);

/* Make every call that waits for the peer return with an error, from any thread. */
int qemu_file_shutdown(QEMUFile *f);
/* Has anybody here done so?  Set before the peer, or a reader of the same channel, can notice. */
bool qemu_file_is_shut_down(QEMUFile *f);
void qemu_file_set_blocking(QEMUFile *f, bool block, Error **errp);

/* Output. */
void qemu_put_buffer(QEMUFile *f, const void *buf, size_t size);
/* @buf must stay as it is (or may change, if any content will do) until the next qemu_fflush. */
void qemu_put_buffer_async(QEMUFile *f, const void *buf, size_t size, bool may_free);
/*
 * Room for @size (at most QEMU_FILE_CLAIM_MAX) bytes of small items, written by the caller at the
 * returned address and then committed; nothing else may be put in between.
 */
#define QEMU_FILE_CLAIM_MAX 4096
uint8_t *qemu_file_claim(QEMUFile *f, size_t size);
void qemu_file_commit(QEMUFile *f, size_t size);
void qemu_put_byte(QEMUFile *f, int v);
void qemu_put_be16(QEMUFile *f, unsigned int v);
void qemu_put_be32(QEMUFile *f, unsigned int v);
void qemu_put_be64(QEMUFile *f, uint64_t v);
static inline void qemu_put_8s(QEMUFile *f, const uint8_t *pv)
{
    qemu_put_byte(f, *pv);
}
static inline void qemu_put_be16s(QEMUFile *f, const uint16_t *pv)
{
    qemu_put_be16(f, *pv);
}
static inline void qemu_put_be32s(QEMUFile *f, const uint32_t *pv)
{
    qemu_put_be32(f, *pv);
}
static inline void qemu_put_be64s(QEMUFile *f, const uint64_t *pv)
{
    qemu_put_be64(f, *pv);
}
static inline void qemu_put_sbe16s(QEMUFile *f, const int16_t *pv)
{
    qemu_put_be16(f, *pv);
}
static inline void qemu_put_sbe32s(QEMUFile *f, const int32_t *pv)
{
    qemu_put_be32(f, *pv);
}
static inline void qemu_put_sbe64s(QEMUFile *f, const int64_t *pv)
{
    qemu_put_be64(f, *pv);
}
/* str8: one byte of length (names over 255 bytes are a bug), then the text. */
void qemu_put_counted_string(QEMUFile *f, const char *name);
/* Write out what is buffered.  0: it is out, even if another thread has set an error since. */
int qemu_fflush(QEMUFile *f);
/* What is written out from now on is added to *@counter, which outlives the file. */
void qemu_file_set_counter(QEMUFile *f, Stat64 *counter);
/* Bytes put so far, buffered ones included.  Any thread. */
uint64_t qemu_file_transferred(QEMUFile *f);

/* Input. */
size_t qemu_get_buffer(QEMUFile *f, void *buf, size_t size); /* short only on error */
/* @n of the file's next bytes without taking them, at @offset ahead; short at the end. */
size_t qemu_peek_buffer(QEMUFile *f, uint8_t **buf, size_t size, size_t offset);
int qemu_peek_byte(QEMUFile *f, int offset);
void qemu_file_skip(QEMUFile *f, size_t size);
/* What is in the read-ahead buffer now: *buf and its length; never reads. */
size_t qemu_file_buffered(QEMUFile *f, const uint8_t **buf);
int qemu_get_byte(QEMUFile *f);
unsigned int qemu_get_be16(QEMUFile *f);
unsigned int qemu_get_be32(QEMUFile *f);
uint64_t qemu_get_be64(QEMUFile *f);
static inline void qemu_get_8s(QEMUFile *f, uint8_t *pv)
{
    *pv = qemu_get_byte(f);
}
static inline void qemu_get_be16s(QEMUFile *f, uint16_t *pv)
{
    *pv = qemu_get_be16(f);
}
static inline void qemu_get_be32s(QEMUFile *f, uint32_t *pv)
{
    *pv = qemu_get_be32(f);
}
static inline void qemu_get_be64s(QEMUFile *f, uint64_t *pv)
{
    *pv = qemu_get_be64(f);
}
static inline void qemu_get_sbe16s(QEMUFile *f, int16_t *pv)
{
    *pv = qemu_get_be16(f);
}
static inline void qemu_get_sbe32s(QEMUFile *f, int32_t *pv)
{
    *pv = qemu_get_be32(f);
}
static inline void qemu_get_sbe64s(QEMUFile *f, int64_t *pv)
{
    *pv = qemu_get_be64(f);
}
/* str8 into @buf; the length, or 0 on error (a zero byte in it is one). */
size_t qemu_get_counted_string(QEMUFile *f, char buf[256]);
/* Bytes taken so far: the offset in the stream of what comes next. */
uint64_t qemu_file_position(QEMUFile *f);

#endif
