/*
 * Cache of pages as the other side has them, for XBZRLE.
 *
 * Each page has one place where it may be. A page gives way to another only when it has not been
 * used for a while, else two pages that share a place would drive each other out for ever. The
 * migration thread's alone.
 *
 * Memory: the size given, of which the host provides what is used, and 16 bytes a page.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_PAGE_CACHE_H
#define MIGRATION_PAGE_CACHE_H

typedef struct PageCache PageCache;

/* @size in bytes, a page or more. NULL with the reason in errp. */
PageCache *cache_init(uint64_t size, size_t page_size, Error **errp);
void cache_fini(PageCache *cache);
uint64_t cache_size(const PageCache *cache);

/* The copy of page @key, which counts as used in pass @age; NULL: it is not there. */
uint8_t *cache_lookup(PageCache *cache, uint64_t key, uint64_t age);
/* A place for page @key, to be filled by the caller; NULL: what is there is still in use. */
uint8_t *cache_insert(PageCache *cache, uint64_t key, uint64_t age);
/* Another size; the pages stay as far as there are places. False: nothing has changed. */
bool cache_resize(PageCache *cache, uint64_t size, Error **errp);

#endif
