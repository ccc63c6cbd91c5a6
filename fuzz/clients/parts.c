/* Clients of single data structures: the deque, the bitmap. */
#include <string.h>

#include "base/atomic.h"
#include "regions/bitmap.h"
#include "regions/deque.h"
#include "clients.h"

/* ---- the deque: items are numbers, each is taken once and none is lost */

#define ITEMS 8

static lg_deque deque;
static lg_a64 ring[LG_DEQUE_ITEMS];
static lg_a64 capacity;
static unsigned taken[ITEMS];
static unsigned pushed;
static uint64_t written[ITEMS]; /* when the owner wrote what an item stands for */

static void barrier(void)
{
    if (client_fences)
        lg_fence_seq_cst();
    else
        xp_membarrier();
}

/* While a thief is at work a deque may look full; then the item stays where it is. */
static void push(unsigned n)
{
    for (; n != 0; n--) {
        written[pushed] = xp_last_store();
        if (lg_deque_push(&deque, pushed) ||
            (lg_deque_make_space(&deque, &capacity, LG_DEQUE_ITEMS) && lg_deque_push(&deque, pushed)))
            pushed++;
    }
}

/* Two at once, as a batch from a pool goes into a cache. */
static void push_two(void)
{
    uint64_t bottom = lg_load_relaxed_64(&deque.bottom);
    written[pushed] = written[pushed + 1] = xp_last_store();
    for (unsigned i = 0; i < 2; i++)
        lg_store_relaxed_64(lg_deque_slot(&deque, bottom + i), pushed + i);
    lg_deque_push_run(&deque, 2);
    pushed += 2;
}

static void take(uint64_t item)
{
    XP_CHECK(item < ITEMS && taken[item] == 0 && "an item is taken twice, or never was one");
    XP_CHECK(xp_is_visible(0, written[item], xp_self()) && "whoever takes an item sees what it stands for");
    taken[item]++;
}

static void pop(void)
{
    uint64_t item;
    if (lg_deque_pop(&deque, client_fences, &item))
        take(item);
}

static void steal(uint64_t most, bool all)
{
    uint64_t items[ITEMS];
    uint64_t n = lg_deque_steal(&deque, barrier, most, all, items);
    XP_CHECK(n <= most);
    for (uint64_t i = 0; i < n; i++)
        take(items[i]);
}

static void deque_setup(void)
{
    memset(taken, 0, sizeof(taken));
    memset(written, 0, sizeof(written));
    pushed = 0;
    deque.ring = ring;
    lg_store_seq_cst_64(&capacity, 4);
}

static void deque_setup_two(void)
{
    deque_setup();
    push(2);
}

static void deque_check(void)
{
    uint64_t item;
    while (lg_deque_pop(&deque, client_fences, &item))
        take(item);
    for (unsigned i = 0; i < pushed; i++)
        XP_CHECK(taken[i] == 1 && "an item is lost");
}

static void deque_one_thief(unsigned id)
{
    if (id != 0) {
        steal(1, false);
        return;
    }
    pop();
    push(1);
    pop();
    pop();
}

static void deque_two_thieves(unsigned id)
{
    if (id != 0) {
        steal(1, false);
        return;
    }
    push(1);
    pop();
    pop();
}

static void deque_runs(unsigned id)
{
    if (id != 0) {
        steal(ITEMS, id == 1);
        return;
    }
    push_two();
    pop();
    pop();
    push(1);
}

/* As an overflow takes from a cache, a run leaves what was pushed before it; one more comes afterwards. */
static void deque_pop_run(unsigned id)
{
    if (id != 0) {
        steal(ITEMS, true);
        return;
    }
    push(2);
    if (lg_deque_pop_run(&deque, client_fences, 1))
        take(lg_load_relaxed_64(lg_deque_slot(&deque, lg_load_relaxed_64(&deque.bottom))));
    push(1);
}

/* A ring that wraps: slots are written again while a thief reads. */
static void deque_setup_wrapped(void)
{
    deque_setup();
    lg_store_seq_cst_64(&capacity, 2);
    push(2);
}

static void deque_wrap(unsigned id)
{
    if (id != 0) {
        steal(2, true);
        return;
    }
    push(2);
    pop();
}

/* ---- the bitmap: members are claimed once, and none stays hidden */

#define MEMBERS ((size_t)64 * 64 * 2) /* three levels */

static lg_bitmap bitmap;
static lg_a64 words[64 * 2 + 2 + 1 + 8];
static unsigned claimed[2];
static const uint64_t members[2] = {0, 64 * 64 + 5};
static bool given[2];
static struct {
    unsigned by;
    uint64_t written; /* when the giver wrote what it stands for */
} gifts[2];

static void note_gift(unsigned i)
{
    gifts[i].by = xp_self();
    gifts[i].written = xp_last_store();
}

static void give(unsigned i)
{
    note_gift(i);
    XP_CHECK(lg_bitmap_give(&bitmap, lg_batch_of(members[i])) == 0);
    given[i] = true;
}

static void note_claimed(lg_batch batch)
{
    while (batch.mask != 0) {
        uint64_t member = lg_batch_pop_lowest(&batch);
        unsigned i = member == members[1];
        XP_CHECK(member == members[i] && "a member that was given");
        XP_CHECK(++claimed[i] == 1 && "a member is claimed twice");
        XP_CHECK(xp_is_visible(gifts[i].by, gifts[i].written, xp_self()) &&
                 "whoever claims a member sees what it stands for");
    }
}

static void bitmap_setup(void)
{
    memset(claimed, 0, sizeof(claimed));
    memset(given, 0, sizeof(given));
    memset(gifts, 0, sizeof(gifts));
    XP_CHECK(lg_bitmap_words(MEMBERS) <= sizeof(words) / sizeof(words[0]));
    lg_bitmap_init(&bitmap, words, MEMBERS);
}

static void bitmap_setup_one(void)
{
    bitmap_setup();
    give(0);
}

/* The word of the first member is empty and still announced. */
static void bitmap_setup_stale(void)
{
    bitmap_setup();
    XP_CHECK(lg_bitmap_give(&bitmap, lg_batch_of(members[0])) == 0);
    XP_CHECK(lg_bitmap_claim_mask(&bitmap, lg_batch_of(members[0])) != 0);
}

static void bitmap_check(void)
{
    XP_CHECK(lg_bitmap_sound(&bitmap, MEMBERS) && "a summary hides a member");
    for (;;) {
        lg_batch batch = lg_bitmap_claim(&bitmap, 64);
        if (batch.mask == 0)
            break;
        note_claimed(batch);
    }
    XP_CHECK(claimed[0] == given[0] && claimed[1] == given[1] && "a member is lost");
}

static void bitmap_give_claim(unsigned id)
{
    if (id == 0)
        give(1);
    else
        note_claimed(lg_bitmap_claim(&bitmap, 1));
}

/* Somebody is led to the empty word and takes the announcement back while a member comes. */
static void bitmap_stale(unsigned id)
{
    if (id == 0)
        give(0);
    else
        note_claimed(lg_bitmap_claim(&bitmap, 1));
}

/* Back and forth: the word empties and fills while somebody else looks. */
static void bitmap_return(unsigned id)
{
    if (id == 0) {
        lg_batch batch = lg_bitmap_claim(&bitmap, 1);
        note_gift(0);
        if (batch.mask != 0)
            XP_CHECK(lg_bitmap_give(&bitmap, batch) == 0);
    } else {
        note_claimed(lg_bitmap_claim_scan(&bitmap, 1, MEMBERS));
    }
}

static void bitmap_mask(unsigned id)
{
    if (id == 0) {
        give(1);
        return;
    }
    lg_batch batch = lg_batch_of(members[id - 1]);
    batch.mask = lg_bitmap_claim_mask(&bitmap, batch);
    note_claimed(batch);
}

#define ALL 100000

/* clang-format off */
const client clients_parts[] = {
    {"deque-one-thief", "owner pops, pushes, pops, pops; a thief takes one", 2, deque_setup_two, deque_one_thief,
     deque_check, {9, 3, ALL}, true, true},
    {"deque-two-thieves", "owner pushes, pops, pops; two thieves take one each", 3, deque_setup_two,
     deque_two_thieves, deque_check, {3, 2, ALL}, true, true},
    {"deque-runs", "owner pushes two, pops, pops, pushes; thieves take half and all", 3, deque_setup_two, deque_runs,
     deque_check, {2, 2, ALL}, true, true},
    {"deque-pop-run", "owner pushes two, pops the last as a run, pushes; a thief takes all", 2, deque_setup_two, deque_pop_run,
     deque_check, {4, 2, ALL}, true, true},
    {"deque-wrap", "owner fills a full deque again; a thief takes all", 2, deque_setup_wrapped, deque_wrap,
     deque_check, {9, 3, ALL}, true, true},
    {"bitmap-two-claimers", "a giver; two claimers; three levels", 3, bitmap_setup_one, bitmap_give_claim,
     bitmap_check, {3, 1, ALL}, false, true},
    {"bitmap-stale", "a giver to a word that is announced for nothing; two claimers", 3, bitmap_setup_stale,
     bitmap_stale, bitmap_check, {4, 1, ALL}, false, true},
    {"bitmap-return", "one claims and gives back; two scan for it", 3, bitmap_setup_one, bitmap_return, bitmap_check,
     {4, 1, ALL}, false, true},
    {"bitmap-mask", "a giver; two claim by mask", 3, bitmap_setup_one, bitmap_mask, bitmap_check, {4, 1, ALL}, false,
     true},
};
/* clang-format on */
const unsigned clients_parts_count = sizeof(clients_parts) / sizeof(*clients_parts);
