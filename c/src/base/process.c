#include "process.h"

#include "os.h"

_Static_assert(sizeof(lg_process) == LG_PAGE_MAX, "the words have their pages to themselves");

lg_process lg_this_process __attribute__((aligned(LG_PAGE_MAX)));
lg_a64 lg_hot_flags = {LG_HOT_DISABLED};
lg_a32 lg_was_up;
bool (*lg_when_child_notices)(void);
lg_lock lg_init_lock = LG_LOCK_INIT(LG_RANK_INIT);

void lg_hot_refresh(void)
{
    uint64_t flags = lg_load_relaxed_64(&lg_hot_flags); /* a guess, which is checked below */
    /* Whoever stores last has seen the last flags: a change that comes between the look and the store is seen by the
     * second look, which comes after the store in the single order of all these. */
    for (;;) {
        lg_store_seq_cst_64(&lg_this_process.usual, flags == 0);
        uint64_t now = lg_load_seq_cst_64(&lg_hot_flags);
        if (now == flags)
            return;
        flags = now;
    }
}

void lg_hot_set(enum lg_hot_flag flag, bool on)
{
    if (on)
        (void)lg_or_seq_cst_64(&lg_hot_flags, flag);
    else
        (void)lg_and_seq_cst_64(&lg_hot_flags, ~(uint64_t)flag);
    lg_hot_refresh();
}

void lg_process_init(void)
{
    /* Loaders that don't know of the alignment would have the neighbours wiped too. */
    uintptr_t page = lg_min(lg_os_page_size(), LG_PAGE_MAX);
    if ((uintptr_t)&lg_this_process % page == 0)
        (void)lg_os_wipe_on_fork(&lg_this_process, sizeof(lg_this_process));
}
