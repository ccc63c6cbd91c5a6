#include "seal.h"

#include "../base/atomic.h"
#include "../base/metadata.h"
#include "../base/os.h"
#include "../store/place.h"
#include "class.h"
#include "descriptor.h"

/* ---- pins */

bool lg_seal_hold(lg_descriptor *region, uint64_t *out_word)
{
    uint64_t word = lg_load_relaxed_64(&region->word);
    for (;;) {
        *out_word = word;
        bool evicted = lg_seal_kind(word) == LG_SEAL_EVICTED && (word & LG_SEAL_FREED) == 0;
        if ((word & LG_SEAL_THERE) == 0 && !evicted)
            return false;
        /* Acquire: the contents, or the record of the place. Partners: lg_seal_begin(), lg_seal_publish(). */
        if (lg_cas_acquire_64(&region->word, &word, word + LG_SEAL_READER))
            return true;
    }
}

void lg_seal_let_go(lg_descriptor *region)
{
    uint64_t word = lg_load_relaxed_64(&region->word);
    while (word % LG_SEAL_PIN >= LG_SEAL_READER)
        if (lg_cas_seq_cst_64(&region->word, &word, word - LG_SEAL_READER)) /* releases as lg_seal_unpin() does */
            return;
}

/* ---- to and fro */

bool lg_seal_claim(lg_descriptor *region)
{
    uint64_t word = lg_load_relaxed_64(&region->word);
    /* Sequentially consistent. It acquires what readers did before they unpinned; partner: lg_seal_unpin(). And who finds
     * it claimed finds that an eviction is under way, which was noted before: lg_evict_for() must not take for full what is
     * being emptied. */
    while (lg_seal_kind(word) == LG_SEAL_RESIDENT && lg_seal_pins(word) == 0)
        if (lg_cas_seq_cst_64(&region->word, &word, (word & ~(uint64_t)LG_SEAL_KIND) | LG_SEAL_WRITING))
            return true;
    return false;
}

bool lg_seal_is_due(lg_descriptor *region)
{
    /* Acquire: see lg_seal_claim(). */
    uint64_t word = lg_load_acquire_64(&region->word);
    while (lg_seal_kind(word) == LG_SEAL_RESIDENT && lg_seal_pins(word) == 0) {
        if ((word & LG_SEAL_USED) == 0)
            return true;
        if (lg_cas_relaxed_64(&region->word, &word, word & ~(uint64_t)LG_SEAL_USED))
            return false;
    }
    return false;
}

bool lg_seal_leave(lg_descriptor *region)
{
    uint64_t word = lg_load_relaxed_64(&region->word);
    /* Acquire: what those read who pinned it while it was written. Partner: lg_seal_unpin(). Without it they could find the
     * guard. */
    while (lg_seal_pins(word) == 0 && (word & LG_SEAL_FREED) == 0)
        if (lg_cas_acquire_64(&region->word, &word, (word & ~(uint64_t)LG_SEAL_KIND) | LG_SEAL_LEAVING))
            return true;
    return false;
}

bool lg_seal_claim_load(lg_descriptor *region, uint64_t *out_word)
{
    uint64_t word = lg_load_relaxed_64(&region->word);
    while (lg_seal_kind(word) == LG_SEAL_EVICTED && (word & LG_SEAL_FREED) == 0)
        /* Acquire: the record of the place, and that the guard is there. Partner: lg_seal_publish() of the evictor. Without
         * it the guard could be taken away before it came, and stay. */
        if (lg_cas_acquire_64(&region->word, &word, (word & ~(uint64_t)LG_SEAL_KIND) | LG_SEAL_LOADING))
            return true;
    *out_word = word;
    return false;
}

bool lg_seal_publish(lg_descriptor *region, unsigned kind, uint64_t flags, uint64_t pins)
{
    uint64_t word = lg_load_relaxed_64(&region->word);
    /* Release, as a part of sequential consistency: the contents, the guard, the record of the place. Partners: all that
     * acquire the word. Acquire where it was freed: what the last user did. Partner: lg_seal_take(). */
    do {
        if ((word & LG_SEAL_FREED) != 0) {
            (void)lg_load_acquire_64(&region->word);
            return false;
        }
    } while (!lg_cas_seq_cst_64(&region->word, &word,
                                ((word & ~(uint64_t)LG_SEAL_KIND) | kind | flags) + pins * LG_SEAL_PIN));
    return true;
}

/* ---- accounts */

lg_a64 lg_sealed_bytes;
lg_a64 lg_evicted_bytes;

void lg_seal_account(lg_class *cls, bool evicted)
{
    uint64_t bytes = lg_class_size(cls);
    (void)lg_sub_relaxed_64(evicted ? &lg_sealed_bytes : &lg_evicted_bytes, bytes);
    (void)lg_add_relaxed_64(evicted ? &lg_evicted_bytes : &lg_sealed_bytes, bytes);
}

/* ---- sets */

static lg_a64 cold; /* bits of the set of cold regions; two threads may be between the bit and the count */
static lg_a64 *word_of(enum lg_seal_set set, lg_class *cls, uint64_t index)
{
    return &cls->set_words[set * lg_class_set_words(cls, lg_layout_.arena_bytes) + index / 64];
}

static uint64_t bit_of(uint64_t index)
{
    return (uint64_t)1 << index % 64;
}

/* Makes room for the region in both sets. Two threads may do it at once: what is there stays. Returns 0 or an errno. */
static int commit_sets(lg_class *cls, uint64_t index)
{
    if (index / 64 < lg_load_relaxed_64(&cls->set_words_there))
        return 0;
    uint64_t words = lg_class_set_words(cls, lg_layout_.arena_bytes), page = lg_os_page_size() / sizeof(lg_a64);
    uint64_t wanted = lg_min((index / 64 + page) & ~(page - 1), words);
    int error = 0;
    for (unsigned set = 0; set < 2 && error == 0; set++)
        error = lg_metadata_commit(word_of((enum lg_seal_set)set, cls, 0), wanted * sizeof(lg_a64));
    if (error == 0)
        lg_store_relaxed_64(&cls->set_words_there, wanted);
    return error;
}

void lg_seal_set_add(enum lg_seal_set set, lg_class *cls, uint64_t index)
{
    if (!lg_class_is_evicted(cls))
        return;
    uint64_t bit = bit_of(index);
    if ((lg_or_seq_cst_64(word_of(set, cls, index), bit) & bit) == 0 && set == LG_SEAL_COLD)
        lg_add_relaxed_64(&cold, 1);
}

void lg_seal_set_remove(enum lg_seal_set set, lg_class *cls, uint64_t index)
{
    if (!lg_class_is_evicted(cls))
        return;
    uint64_t bit = bit_of(index);
    lg_a64 *word = word_of(set, cls, index);
    if ((lg_load_relaxed_64(word) & bit) != 0 && (lg_and_seq_cst_64(word, ~bit) & bit) != 0 && set == LG_SEAL_COLD)
        lg_sub_relaxed_64(&cold, 1);
}

bool lg_seal_set_next(enum lg_seal_set set, lg_class *cls, uint64_t index, uint64_t *out_index)
{
    uint64_t limit = lg_load_relaxed_64(&cls->limit);
    while (index < limit) {
        /* Sequentially consistent, as what is added: a region that was given back to the set is found by who comes after. */
        uint64_t left = lg_load_seq_cst_64(word_of(set, cls, index)) & ~(bit_of(index) - 1);
        if (left != 0) {
            *out_index = (index & ~(uint64_t)63) + (uint64_t)__builtin_ctzll(left);
            return true;
        }
        index = (index | 63) + 1;
    }
    return false;
}

bool lg_seal_any_cold(void)
{
    return lg_load_relaxed_64(&cold) != 0;
}

void lg_seal_cool(lg_class *cls, uint64_t index)
{
    lg_descriptor *region = lg_descriptor_at(cls, index);
    uint64_t word = lg_load_relaxed_64(&region->word);
    while (lg_seal_kind(word) == LG_SEAL_RESIDENT)
        if (lg_cas_relaxed_64(&region->word, &word, word & ~(uint64_t)LG_SEAL_USED)) {
            lg_seal_set_add(LG_SEAL_COLD, cls, index);
            return;
        }
}

/* ---- the beginning and the end */

int lg_seal_begin(lg_class *cls, uint64_t index, uint64_t used)
{
    lg_descriptor *region = lg_descriptor_at(cls, index);
    int error = lg_class_is_evicted(cls) ? commit_sets(cls, index) : 0;
    if (error != 0)
        return error;
    region->used = used;
    region->place = LG_NO_PLACE;
    lg_store_relaxed_64(&region->state, lg_state_sealed(lg_region_address(cls, index)));
    (void)lg_add_relaxed_64(&lg_sealed_bytes, lg_class_size(cls));
    lg_seal_set_add(LG_SEAL_CANDIDATES, cls, index);
    /* Release: the contents, and the above. Partners: all that acquire the word. Who has found the region in the set before
     * finds nothing sealed here. */
    lg_store_release_64(&region->word, LG_SEAL_RESIDENT | LG_SEAL_USED);
    return 0;
}

/* What is to become of a region of this word. *out_word: the word that it gets for that. */
static enum lg_seal_taken decide(uint64_t word, bool unseal, uint64_t *out_word)
{
    unsigned kind = lg_seal_kind(word);
    *out_word = LG_SEAL_NONE;
    if (kind == LG_SEAL_NONE || (word & LG_SEAL_FREED) != 0)
        return LG_TAKEN_NOT;
    if (lg_seal_pins(word) != (unseal ? 1 : 0))
        return LG_TAKEN_PINNED;
    if (kind == LG_SEAL_RESIDENT)
        return LG_TAKEN_RESIDENT;
    if (kind == LG_SEAL_EVICTED)
        return LG_TAKEN_EVICTED;
    *out_word = unseal ? word : (word & ~(uint64_t)LG_SEAL_THERE) | LG_SEAL_FREED;
    return LG_TAKEN_LATER;
}

enum lg_seal_taken lg_seal_take(lg_class *cls, uint64_t index, bool unseal)
{
    lg_descriptor *region = lg_descriptor_at(cls, index);
    uint64_t word = lg_load_relaxed_64(&region->word), to;
    enum lg_seal_taken taken;
    /* Sequentially consistent. It acquires what readers did before they unpinned, and what the last one did who was busy
     * with it; where it is freed later it releases what the user did. Partners: lg_seal_unpin(), lg_seal_publish(). */
    do {
        taken = decide(word, unseal, &to);
        if (taken == LG_TAKEN_NOT || taken == LG_TAKEN_PINNED)
            return taken;
    } while (!lg_cas_seq_cst_64(&region->word, &word, to));
    if (taken == LG_TAKEN_RESIDENT || taken == LG_TAKEN_EVICTED) {
        lg_seal_set_remove(LG_SEAL_CANDIDATES, cls, index);
        lg_seal_set_remove(LG_SEAL_COLD, cls, index);
    }
    if (taken == LG_TAKEN_RESIDENT)
        (void)lg_sub_relaxed_64(&lg_sealed_bytes, lg_class_size(cls));
    return taken;
}

/* ---- waiting */

lg_lock lg_seal_lock = LG_LOCK_INIT(LG_RANK_SEAL);
LG_THREAD_LOCAL bool lg_seal_inside;
/* Protected by lg_seal_lock. */
static pthread_cond_t ends;
static bool ends_ready; /* the condition variable has its clock */
static lg_a64 ends_count;

/* Nobody forgets to wake; should the clock be what isn't right, the condition is looked at again. */
#define LOOK_AGAIN_NS UINT64_C(1000000000)

/* Waits once. With the lock held. */
static void wait_locked(void)
{
    struct timespec deadline;
    int state;
    if (lg_forking) { /* that holds all locks: whom it waits for may be waiting for one */
        lg_os_pause(0);
        return;
    }
    if (!ends_ready) {
        pthread_condattr_t attributes;
        pthread_condattr_init(&attributes);
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        pthread_cond_init(&ends, &attributes);
        pthread_condattr_destroy(&attributes);
        ends_ready = true;
    }
    lg_os_monotonic_after(LOOK_AGAIN_NS, &deadline);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state); /* it would end with the lock held */
    lg_lock_wait(&lg_seal_lock, &ends, &deadline);
    pthread_setcancelstate(state, NULL);
}

void lg_seal_wait(const lg_descriptor *region, unsigned kind)
{
    lg_lock_acquire(&lg_seal_lock);
    /* A thread that publishes the region takes the lock after that: either this look finds it published, or it finds this
     * thread waiting. */
    if (lg_seal_kind(lg_load_relaxed_64(&region->word)) == kind)
        wait_locked();
    lg_lock_release(&lg_seal_lock);
}

uint64_t lg_seal_ended(void)
{
    return lg_load_relaxed_64(&ends_count);
}

void lg_seal_wait_end(uint64_t seen)
{
    lg_lock_acquire(&lg_seal_lock);
    if (lg_load_relaxed_64(&ends_count) == seen)
        wait_locked();
    lg_lock_release(&lg_seal_lock);
}

void lg_seal_note_end(void)
{
    lg_add_relaxed_64(&ends_count, 1);
}

void lg_seal_end(void)
{
    lg_lock_acquire(&lg_seal_lock);
    lg_seal_note_end();
    if (ends_ready)
        pthread_cond_broadcast(&ends);
    lg_lock_release(&lg_seal_lock);
}

/* ---- children of a fork */

void lg_seal_forked(void)
{
    ends_ready = false; /* its waiters vanished */
    lg_store_relaxed_64(&lg_sealed_bytes, 0);
    lg_store_relaxed_64(&lg_evicted_bytes, 0);
}

/*
 * Nobody waited for the parent's threads that were busy with regions: a fork takes as long as the disk else. What such a
 * thread was writing is there, as a whole, and what was resident anyway; the rest is lost. Of what is lost a part may be
 * there, where it was leaving or being loaded: the guard sees to it that it is a fault too. Where the guard is refused, it is
 * memory that nobody asks for.
 *
 * Places on disk are the parent's. Pins stay as they were: those of threads that are gone can't be told from others. Readers are gone: of
 * them the program doesn't know.
 */
bool lg_seal_settle(lg_class *cls, uint64_t index)
{
    lg_descriptor *region = lg_descriptor_at(cls, index);
    uint64_t word = lg_load_relaxed_64(&region->word);
    unsigned kind = lg_seal_kind(word);
    word &= ~(uint64_t)(LG_SEAL_PIN - LG_SEAL_READER);
    void *address = lg_region_address(cls, index);
    bool freed = (word & LG_SEAL_FREED) != 0;
    region->place = LG_NO_PLACE;
    lg_seal_set_remove(LG_SEAL_COLD, cls, index);
    if (kind == LG_SEAL_RESIDENT || (kind == LG_SEAL_WRITING && !freed)) {
        lg_seal_set_add(LG_SEAL_CANDIDATES, cls, index);
        (void)lg_add_relaxed_64(&lg_sealed_bytes, lg_class_size(cls));
        lg_store_relaxed_64(&region->word, (word & ~(uint64_t)(LG_SEAL_KIND | LG_SEAL_PLACED)) | LG_SEAL_RESIDENT);
        return true;
    }
    lg_seal_set_remove(LG_SEAL_CANDIDATES, cls, index);
    lg_store_relaxed_64(&region->word, LG_SEAL_NONE);
    lg_store_relaxed_64(&region->state, LG_LOST);
    if (kind != LG_SEAL_EVICTED)
        (void)lg_os_guard(address, lg_class_size(cls));
    return false;
}

void lg_seal_abandon(void)
{
    lg_seal_forked();
    lg_seal_inside = false;
    lg_store_relaxed_64(&cold, 0);
}
