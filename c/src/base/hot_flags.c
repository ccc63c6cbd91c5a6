#include "hot_flags.h"

lg_a64 lg_hot_flags = {LG_HOT_DISABLED};

void lg_hot_refresh(void)
{
    uint64_t flags = lg_load_relaxed_64(&lg_hot_flags); /* a guess, which is checked below */
    /* The last thread to store has seen the last flags: a change that comes between the look and the store is seen by the
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
