/*
 * Scatter-gather vectors.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_IOV_H
#define QEMU_IOV_H

size_t iov_size(const struct iovec *iov, unsigned int cnt);
size_t iov_from_buf(const struct iovec *iov, unsigned int cnt, size_t offset, const void *buf,
                    size_t bytes);
size_t iov_to_buf(const struct iovec *iov, unsigned int cnt, size_t offset, void *buf,
                  size_t bytes);
size_t iov_memset(const struct iovec *iov, unsigned int cnt, size_t offset, int fill,
                  size_t bytes);
/* Copies part of a vector (not the data); returns how many elements dst has. */
unsigned int iov_copy(struct iovec *dst, unsigned int dst_cnt, const struct iovec *iov,
                      unsigned int cnt, size_t offset, size_t bytes);
/* Drop @bytes from the front, changing *iov and *cnt and the element cut in two. */
size_t iov_discard_front(struct iovec **iov, unsigned int *cnt, size_t bytes);
size_t iov_discard_back(struct iovec *iov, unsigned int *cnt, size_t bytes);

#endif
