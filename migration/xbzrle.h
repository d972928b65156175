/*
 * XBZRLE: a page as its difference to what was sent before.
 *
 * The wire form is pairs of runs: uleb128 count of unchanged bytes, uleb128 count of changed bytes
 * and these bytes themselves. What follows the last pair is unchanged. Only the first count may be
 * 0. (That a byte counts as changed does not mean that it is another one.)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_XBZRLE_H
#define MIGRATION_XBZRLE_H

/* Lengths are multiples of this, and no more of them than a word has bits. */
#define XBZRLE_UNIT 64
#define XBZRLE_LEN_MAX 4096

/*
 * The difference from @old to @new, @len bytes each, to @dst with @room bytes. Returns its length:
 * 0 when they are equal, -1 when there is not enough room. Neither may change meanwhile.
 */
int xbzrle_encode_buffer(const uint8_t *old, const uint8_t *new, int len, uint8_t *dst, int room);

/*
 * Changes the @len bytes at @dst by the @size bytes of difference at @src. Returns how far into
 * @dst it went, or -1 when @src is no difference of so many bytes; @dst may then have been changed
 * in part, but nothing around it.
 */
int xbzrle_decode_buffer(const uint8_t *src, int size, uint8_t *dst, int len);

/* For tests: 0 plain, 1 AVX2, 2 AVX-512. False where this processor has it not. */
bool xbzrle_use(int form);

#endif
