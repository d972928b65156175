/*
 * Cache of pages for XBZRLE: see page_cache.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/mman.h>
#include "page_cache.h"
#include "qapi/error.h"

/* A page that was not used in so many passes gives way. */
#define LIFETIME 2

typedef struct Place {
    uint64_t key;   /* of the page, plus 1; 0: free */
    uint64_t age;
} Place;

struct PageCache {
    uint64_t count;
    size_t page_size;
    Place *places;
    uint8_t *data;  /* the place's index times the page size */
};

static bool allocate(PageCache *cache, uint64_t size, Error **errp)
{
    uint64_t count = size / cache->page_size;
    Place *places = count ? g_try_new0(Place, count) : NULL;
    void *data;

    if (!places) {
        error_setg(errp, "no memory for a page cache of %" PRIu64 " bytes", size);
        return false;
    }
    data = mmap(NULL, count * cache->page_size, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED) {
        error_setg_errno(errp, errno, "no memory for a page cache of %" PRIu64 " bytes", size);
        g_free(places);
        return false;
    }
    cache->count = count;
    cache->places = places;
    cache->data = data;
    return true;
}

static void release(PageCache *cache)
{
    munmap(cache->data, cache->count * cache->page_size);
    g_free(cache->places);
}

PageCache *cache_init(uint64_t size, size_t page_size, Error **errp)
{
    PageCache *cache = g_new0(PageCache, 1);

    cache->page_size = page_size;
    if (!allocate(cache, size, errp)) {
        g_free(cache);
        return NULL;
    }
    return cache;
}

void cache_fini(PageCache *cache)
{
    if (cache) {
        release(cache);
        g_free(cache);
    }
}

uint64_t cache_size(const PageCache *cache)
{
    return cache->count * cache->page_size;
}

static uint8_t *data_of(const PageCache *cache, uint64_t index)
{
    return cache->data + index * cache->page_size;
}

uint8_t *cache_lookup(PageCache *cache, uint64_t key, uint64_t age)
{
    uint64_t index = key % cache->count;

    if (cache->places[index].key != key + 1) {
        return NULL;
    }
    cache->places[index].age = age;
    return data_of(cache, index);
}

uint8_t *cache_insert(PageCache *cache, uint64_t key, uint64_t age)
{
    uint64_t index = key % cache->count;
    Place *place = &cache->places[index];

    if (place->key && place->key != key + 1 && place->age + LIFETIME > age) {
        return NULL;
    }
    *place = (Place){key + 1, age};
    return data_of(cache, index);
}

bool cache_resize(PageCache *cache, uint64_t size, Error **errp)
{
    PageCache old = *cache;

    if (!allocate(cache, size, errp)) {
        return false;
    }
    for (uint64_t i = 0; i < old.count; i++) {
        const Place *from = &old.places[i];
        uint64_t index = (from->key - 1) % cache->count;

        /* Of two for one place, the one that was used later. */
        if (from->key && (!cache->places[index].key || cache->places[index].age < from->age)) {
            cache->places[index] = *from;
            memcpy(data_of(cache, index), data_of(&old, i), cache->page_size);
        }
    }
    release(&old);
    return true;
}
