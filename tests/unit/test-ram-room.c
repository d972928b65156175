/*
 * Room for pages that come (migration/ram-room.c): where a file system is full, asking gives an error
 * with block, offset and reason, and whatever was granted can be stored to.
 *
 * The file system is a tmpfs of 16 pages, which a mount namespace of this program's own keeps from
 * everybody else. Skips where neither root nor a user namespace is to be had.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sched.h>
#include <sys/mount.h>
#include "../../migration/ram-room.h"

#define PAGE TARGET_PAGE_SIZE
#define FS_PAGES 16
#define PAGES 32

static char *fs; /* NULL: none */

static bool put_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

static bool unshare_mounts(void)
{
    g_autofree char *uid = g_strdup_printf("%u %u 1", getuid(), getuid());
    g_autofree char *gid = g_strdup_printf("%u %u 1", getgid(), getgid());

    return unshare(CLONE_NEWNS) == 0 ||
           (unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && put_file("/proc/self/uid_map", uid) &&
            put_file("/proc/self/setgroups", "deny") && put_file("/proc/self/gid_map", gid));
}

/* Before there are threads: a user namespace would not be given otherwise. */
static void mount_fs(void)
{
    char dir[] = "/tmp/test-ram-room-XXXXXX";

    g_assert_nonnull(mkdtemp(dir));
    if (!unshare_mounts() || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", dir, "tmpfs", 0, "size=65536") < 0) {
        rmdir(dir);
        return;
    }
    fs = g_strdup(dir);
}

static void unmount_fs(void)
{
    if (fs) {
        umount2(fs, MNT_DETACH);
        rmdir(fs);
        g_free(fs);
    }
}

static RAMBlock *make_block(uint32_t flags)
{
    g_autofree char *path = g_strdup_printf("%s/ram", fs);
    RAMBlock *rb = qemu_ram_alloc_from_file(PAGES * PAGE, NULL, flags, path, 0, &error_abort);

    unlink(path);
    qemu_ram_set_idstr(rb, "pc.ram", NULL);
    g_assert_true(ram_room_setup(rb, &error_abort));
    g_assert_nonnull(rb->roommap);
    return rb;
}

static void refused(bool result, Error **err, const char *offset, const char *reason)
{
    const char *text;

    g_assert_false(result);
    text = error_get_pretty(*err);
    g_test_message("%s", text);
    g_assert_nonnull(strstr(text, "'pc.ram'"));
    g_assert_nonnull(strstr(text, offset));
    g_assert_nonnull(strstr(text, reason));
    error_free_or_abort(err);
}

static void test_shared(void)
{
    RAMBlock *rb;
    Error *err = NULL;

    if (!fs) {
        g_test_skip("no tmpfs can be mounted here");
        return;
    }
    rb = make_block(RAM_SHARED);
    g_assert_true(ram_have_room(rb, 4, 8, &error_abort));
    memset(rb->host + 4 * PAGE, 1, 8 * PAGE);
    /* It reaches up to page 19; those that were there take no more. */
    refused(ram_have_room(rb, 4, 28, &err), &err, "0x14000", "No space left");
    memset(rb->host + 4 * PAGE, 2, FS_PAGES * PAGE);
    refused(ram_have_room(rb, 0, 1, &err), &err, " 0x0:", "No space left");
    refused(ram_is_readable(rb, 31, &err), &err, "0x1f000", "No space left");
    for (int page = 0; page < PAGES; page++) {
        g_assert_cmpint(test_bit(page, rb->roommap), ==, page >= 4 && page < 4 + FS_PAGES);
    }
    g_assert_true(ram_is_readable(rb, 19, &error_abort));
    g_assert_true(ram_have_room(rb, 5, 10, &error_abort));

    /* Somebody else gives up his file. */
    g_assert_cmpint(ftruncate(rb->fd, 8 * PAGE), ==, 0);
    g_assert_cmpint(ftruncate(rb->fd, PAGES * PAGE), ==, 0);
    g_assert_true(ram_have_room(rb, 20, 12, &error_abort));
    memset(rb->host + 20 * PAGE, 3, 12 * PAGE);
    qemu_ram_free(rb);
}

/* A page is the file's until it is written; the file's hole has to be filled for that. */
static void test_private(void)
{
    RAMBlock *rb;
    Error *err = NULL;

    if (!fs) {
        g_test_skip("no tmpfs can be mounted here");
        return;
    }
    rb = make_block(0);
    g_assert_true(ram_have_room(rb, 0, 1, &error_abort));
    rb->host[0] = 1;
    g_assert_cmpint(fallocate(rb->fd, 0, 0, FS_PAGES * PAGE), ==, 0);
    g_assert_true(ram_have_room(rb, 0, FS_PAGES, &error_abort));
    memset(rb->host, 1, FS_PAGES * PAGE);
    refused(ram_have_room(rb, FS_PAGES, 2, &err), &err, "0x10000", "would fail");
    refused(ram_is_readable(rb, FS_PAGES, &err), &err, "0x10000", "would fail");
    qemu_ram_free(rb);
}

/* What is written by way of the file is not asked for again. */
static void test_found(void)
{
    RAMBlock *rb = qemu_ram_alloc(PAGES * PAGE, RAM_SHARED, NULL, &error_abort);

    qemu_ram_set_idstr(rb, "pc.ram", NULL);
    g_assert_true(ram_room_setup(rb, &error_abort));
    ram_room_found(rb, 3, 4);
    g_assert_true(ram_have_room(rb, 0, PAGES, &error_abort));
    g_assert_cmpuint(bitmap_count_one(rb->roommap, PAGES), ==, PAGES);
    memset(rb->host, 1, PAGES * PAGE);
    ram_room_cleanup(rb);
    g_assert_null(rb->roommap);
    qemu_ram_free(rb);
}

static void test_anonymous(void)
{
    RAMBlock *rb = qemu_ram_alloc(PAGES * PAGE, 0, NULL, &error_abort);

    g_assert_true(ram_room_setup(rb, &error_abort));
    g_assert_null(rb->roommap);
    g_assert_true(ram_have_room(rb, 0, PAGES, &error_abort));
    g_assert_true(ram_is_readable(rb, 0, &error_abort));
    ram_room_found(rb, 0, 1);
    qemu_ram_free(rb);
}

int main(int argc, char **argv)
{
    int ret;

    mount_fs();
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ram-room/shared", test_shared);
    g_test_add_func("/ram-room/private", test_private);
    g_test_add_func("/ram-room/found", test_found);
    g_test_add_func("/ram-room/anonymous", test_anonymous);
    ret = g_test_run();
    unmount_fs();
    return ret;
}
