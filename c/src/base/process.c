#include "process.h"

#include "os.h"

_Static_assert(sizeof(lg_process) == LG_PAGE_MAX, "the words have their pages to themselves");

lg_process lg_this_process __attribute__((aligned(LG_PAGE_MAX)));
lg_a32 lg_was_up;
lg_a32 lg_was_begun;
bool (*lg_when_child_notices)(void);
lg_lock lg_init_lock = LG_LOCK_INIT(LG_RANK_INIT);

void lg_process_init(void)
{
    /* Loaders that don't know of the alignment would have the neighbours wiped too. */
    uintptr_t page = lg_min(lg_os_page_size(), LG_PAGE_MAX);
    if ((uintptr_t)&lg_this_process % page == 0)
        (void)lg_os_wipe_on_fork(&lg_this_process, sizeof(lg_this_process));
}
