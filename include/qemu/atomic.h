/*
 * Atomics: thin names over the compiler's builtins.  Plain forms are sequentially consistent;
 * qatomic_read/_set are relaxed; the _acquire/_release forms pair with each other.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_ATOMIC_H
#define QEMU_ATOMIC_H

#define qatomic_read(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define qatomic_set(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define qatomic_load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define qatomic_store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define qatomic_mb_read(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define qatomic_mb_set(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define qatomic_xchg(p, v) __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)
#define qatomic_cmpxchg(p, old, new) ({                                     \
        typeof(*(p)) old_ = (old);                                          \
        __atomic_compare_exchange_n((p), &old_, (new), false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
        old_; })
#define qatomic_fetch_add(p, n) __atomic_fetch_add((p), (n), __ATOMIC_SEQ_CST)
#define qatomic_fetch_sub(p, n) __atomic_fetch_sub((p), (n), __ATOMIC_SEQ_CST)
#define qatomic_fetch_inc(p) qatomic_fetch_add((p), 1)
#define qatomic_fetch_dec(p) qatomic_fetch_sub((p), 1)
#define qatomic_fetch_or(p, n) __atomic_fetch_or((p), (n), __ATOMIC_SEQ_CST)
#define qatomic_fetch_and(p, n) __atomic_fetch_and((p), (n), __ATOMIC_SEQ_CST)
#define qatomic_inc_fetch(p) __atomic_add_fetch((p), 1, __ATOMIC_SEQ_CST)
#define qatomic_dec_fetch(p) __atomic_sub_fetch((p), 1, __ATOMIC_SEQ_CST)
#define qatomic_add(p, n) ((void)qatomic_fetch_add((p), (n)))
#define qatomic_sub(p, n) ((void)qatomic_fetch_sub((p), (n)))
#define qatomic_inc(p) ((void)qatomic_fetch_add((p), 1))
#define qatomic_dec(p) ((void)qatomic_fetch_sub((p), 1))
#define qatomic_or(p, n) ((void)qatomic_fetch_or((p), (n)))
#define qatomic_and(p, n) ((void)qatomic_fetch_and((p), (n)))
#define smp_mb() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define smp_rmb() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define smp_wmb() __atomic_thread_fence(__ATOMIC_RELEASE)
#define barrier() __asm__ volatile("" ::: "memory")

/* Statistics that threads count and others read: relaxed. */
typedef struct Stat64 { uint64_t value; } Stat64;
static inline uint64_t stat64_get(const Stat64 *s)
{
    return qatomic_read(&s->value);
}
static inline void stat64_set(Stat64 *s, uint64_t v)
{
    qatomic_set(&s->value, v);
}
static inline void stat64_add(Stat64 *s, uint64_t v)
{
    __atomic_fetch_add(&s->value, v, __ATOMIC_RELAXED);
}

#endif
