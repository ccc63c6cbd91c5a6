#include "io.h"

#include "../base/atomic.h"
#include "../base/lock.h"
#include "../base/options.h"
#include "../base/os.h"
#include "../regions/arena.h"
#include "../regions/class.h"
#include "../regions/pool.h"
#include "../store/spill.h"
#include "background.h"
#include "evict.h"
#include "reclaim.h"

lg_lock lg_io_lock = LG_LOCK_INIT(LG_RANK_IO);
lg_a64 lg_io_mark = {UINT64_MAX};

static void run_io(lg_background *self);

#define IO_THREAD(number) LG_BACKGROUND_INIT("lgalloc-io-" #number, &lg_io_lock, run_io)
static lg_background io_threads[LG_IO_THREADS_MAX] = {IO_THREAD(0), IO_THREAD(1), IO_THREAD(2), IO_THREAD(3),
                                                      IO_THREAD(4), IO_THREAD(5), IO_THREAD(6), IO_THREAD(7)};

/* Loads that wait for a thread. */
#define WAITING_MAX 64

typedef struct waiting_load {
    lg_class *cls;
    uint64_t index;
} waiting_load;

/* Protected by lg_io_lock. */
static waiting_load waiting[WAITING_MAX];
static unsigned first_waiting, waiting_count;
static bool trim_wanted;
static lg_a32 room_wanted; /* written under the lock; whoever finds it set needn't say it again */
static lg_a32 io_wanted;   /* threads that there are to be; written under the config lock */

/* ---- what they do */

/* A step towards the share that is to be free. Returns whether it was one. */
static bool make_some_room(void)
{
    uint64_t charged = lg_charged(), mark = lg_load_relaxed_64(&lg_io_mark);
    LG_EACH_CLASS(cls)
        if (lg_reclaim_dirty(NULL, cls, UINT64_MAX, lg_class_round_up(cls, charged - mark), true) != 0)
            return true;
    return lg_evict_next(NULL) != 0;
}

/* After a look that made no room. The disk may be full, or all that is resident pinned: the next look would find the same. */
#define IO_REST_NS 100000000

static void run_io(lg_background *self)
{
    struct timespec rest = {0, 0};
    while (!self->stopping) {
        if (waiting_count != 0) {
            waiting_load next = waiting[first_waiting];
            first_waiting = (first_waiting + 1) % WAITING_MAX;
            waiting_count--;
            lg_lock_release(&lg_io_lock);
            lg_load_ahead(NULL, next.cls, next.index);
            lg_lock_acquire(&lg_io_lock);
        } else if (trim_wanted) {
            trim_wanted = false;
            lg_lock_release(&lg_io_lock);
            (void)lg_spill_trim(false);
            lg_lock_acquire(&lg_io_lock);
        } else if (lg_load_relaxed_32(&room_wanted) != 0 && lg_background_is_due(&rest)) {
            /* Taken back before the look: who charges more from now on says so again. */
            lg_store_relaxed_32(&room_wanted, 0);
            lg_lock_release(&lg_io_lock);
            bool wanted = lg_charged() > lg_load_relaxed_64(&lg_io_mark), made = wanted && make_some_room();
            lg_lock_acquire(&lg_io_lock);
            if (wanted)
                lg_store_relaxed_32(&room_wanted, 1);
            if (wanted && !made)
                lg_os_monotonic_after(IO_REST_NS, &rest);
        } else {
            lg_background_wait(self, lg_load_relaxed_32(&room_wanted) != 0 ? &rest : NULL);
        }
    }
}

/* Under the lock: something has come to be done. Which of them sleeps isn't known. */
static void wake_io(void)
{
    for (unsigned i = 0; i < LG_IO_THREADS_MAX; i++)
        lg_background_wake(&io_threads[i]);
}

/* Whoever wants something of them: in the child of a fork they start again. */
static bool io_is_needed(void)
{
    uint32_t count = lg_load_relaxed_32(&io_wanted);
    for (uint32_t i = 0; i < count; i++)
        lg_background_wake_after_fork(&io_threads[i]);
    return count != 0;
}

bool lg_io_is_there(void)
{
    return lg_load_relaxed_32(&io_wanted) != 0;
}

void lg_io_prefetch(lg_class *cls, uint64_t index)
{
    if (!io_is_needed())
        return;
    lg_lock_acquire(&lg_io_lock);
    if (waiting_count != WAITING_MAX) {
        waiting[(first_waiting + waiting_count) % WAITING_MAX] = (waiting_load){cls, index};
        waiting_count++;
        wake_io();
    }
    lg_lock_release(&lg_io_lock);
}

void lg_io_trim(void)
{
    if (!io_is_needed())
        return;
    lg_lock_acquire(&lg_io_lock);
    trim_wanted = true;
    wake_io();
    lg_lock_release(&lg_io_lock);
}

void lg_io_make_room(void)
{
    if (lg_load_relaxed_32(&room_wanted) != 0 || !io_is_needed())
        return;
    lg_lock_acquire(&lg_io_lock);
    lg_store_relaxed_32(&room_wanted, 1);
    wake_io();
    lg_lock_release(&lg_io_lock);
}

/* ---- orders */

int lg_io_configure(uint64_t threads)
{
    uint32_t before = lg_load_relaxed_32(&io_wanted), count = (uint32_t)lg_min(threads, LG_IO_THREADS_MAX);
    int error = 0;
    for (uint32_t i = 0; i < count && error == 0; i++) {
        lg_lock_acquire(&lg_io_lock);
        error = lg_background_start(&io_threads[i]);
        lg_lock_release(&lg_io_lock);
    }
    uint32_t left = error == 0 ? count : before;
    for (uint32_t i = left; i < LG_IO_THREADS_MAX; i++)
        lg_background_stop(&io_threads[i]);
    lg_store_relaxed_32(&io_wanted, left);
    return error;
}

void lg_io_follow_options(void)
{
    uint64_t limit = LG_OPTION(limit_bytes), percent = LG_OPTION(spill_free_percent);
    bool keeps = limit != 0 && percent != 0 && lg_spill_on() && lg_io_is_there();
    lg_store_relaxed_64(&lg_io_mark, keeps ? limit - limit / 100 * percent : UINT64_MAX);
    if (keeps)
        lg_io_look();
}

void lg_io_forked(void)
{
    for (unsigned i = 0; i < LG_IO_THREADS_MAX; i++)
        lg_background_forked(&io_threads[i]);
    waiting_count = 0;
    trim_wanted = false;
    lg_store_relaxed_32(&room_wanted, 0);
}
