/* What fork does: see fork.c. */
#ifndef LG_FORK_H
#define LG_FORK_H

#include "../base/base.h"

/* For lg_when_child_notices: a child of a fork goes on, if its handlers are still to run, or starts over. */
LG_HIDDEN LG_COLD bool lg_child_notices(void);

#endif
