/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How fast differences of pages are made and applied, on one core, by each form that this processor
 * can run: GiB of pages a second, for pages of which a share of the 8-byte words has changed.
 *
 *   xbzrle-bench [SECONDS]   for how long each figure is measured [0.2]
 *
 * The pages, of either age, are more than fits into the caches, as a guest's are. A difference that
 * would be longer than its page counts as made: giving up is part of the work.
 */
#include "qemu/osdep.h"
#include "../../migration/xbzrle.h"

#define PAGE 4096
#define PAGES 16384

static const char *const forms[] = {"plain", "avx2", "avx512"};
/* Changed words of a page's 512. */
static const int shares[] = {0, 1, 8, 64, 256, 512};

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* whatever else the machine does */
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void fill(uint8_t *old, uint8_t *new, int changed)
{
    g_autoptr(GRand) rng = g_rand_new_with_seed(changed);

    for (size_t i = 0; i < (size_t)PAGES * PAGE; i += 4) {
        uint32_t v = g_rand_int(rng);

        memcpy(old + i, &v, 4);
    }
    memcpy(new, old, (size_t)PAGES * PAGE);
    for (size_t page = 0; page < PAGES && changed; page++) {
        for (int i = 0; i < changed; i++) {
            uint8_t *word = new + page * PAGE + (size_t)i * (PAGE / changed);

            for (int byte = 0; byte < 8; byte++) {
                word[byte] ^= 1 + (i + byte) % 255;
            }
        }
    }
}

/* Makes each page's difference, for @seconds in all; GiB a second. */
static double encode(const uint8_t *old, const uint8_t *new, uint8_t *out, int *lengths,
                     double seconds)
{
    double began = now(), took;
    uint64_t turns = 0;

    do {
        for (size_t page = 0; page < PAGES; page++) {
            lengths[page] = xbzrle_encode_buffer(old + page * PAGE, new + page * PAGE, PAGE,
                                                 out + page * PAGE, PAGE);
        }
        turns++;
        took = now() - began;
    } while (took < seconds);
    return turns * ((double)PAGES * PAGE) / took / (1 << 30);
}

static double decode(uint8_t *pages, const uint8_t *out, const int *lengths, double seconds)
{
    double began = now(), took;
    uint64_t turns = 0;

    do {
        for (size_t page = 0; page < PAGES; page++) {
            if (lengths[page] > 0 && xbzrle_decode_buffer(out + page * PAGE, lengths[page],
                                                          pages + page * PAGE, PAGE) < 0) {
                fprintf(stderr, "xbzrle-bench: a difference of ours is refused\n");
                exit(1);
            }
        }
        turns++;
        took = now() - began;
    } while (took < seconds);
    return turns * ((double)PAGES * PAGE) / took / (1 << 30);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 0.2;
    uint8_t *old = g_malloc((size_t)PAGES * PAGE), *new = g_malloc((size_t)PAGES * PAGE);
    uint8_t *out = g_malloc0((size_t)PAGES * PAGE);
    int *lengths = g_new(int, PAGES);

    printf("%-8s %14s %14s %14s %14s\n", "form", "words changed", "bytes a page", "encode GiB/s",
           "decode GiB/s");
    for (size_t share = 0; share < G_N_ELEMENTS(shares); share++) {
        fill(old, new, shares[share]);
        for (size_t form = 0; form < G_N_ELEMENTS(forms); form++) {
            double made, applied;
            uint64_t bytes = 0, whole = 0;

            if (!xbzrle_use(form)) {
                continue;
            }
            made = encode(old, new, out, lengths, seconds);
            applied = decode(old, out, lengths, seconds);
            for (size_t page = 0; page < PAGES; page++) {
                whole += lengths[page] < 0;
                bytes += lengths[page] < 0 ? PAGE : lengths[page];
            }
            if (!whole && memcmp(old, new, (size_t)PAGES * PAGE)) {
                fprintf(stderr, "xbzrle-bench: %s: the pages are not the same\n", forms[form]);
                return 1;
            }
            fill(old, new, shares[share]);
            printf("%-8s %14d %14.1f %14.2f %14.2f\n", forms[form], shares[share],
                   (double)bytes / PAGES, made, applied);
        }
    }
    g_free(old);
    g_free(new);
    g_free(out);
    g_free(lengths);
    return 0;
}
