/* What fork does: see fork.c. */
#ifndef LG_FORK_H
#define LG_FORK_H

#include "base.h"

/* Asks to be called around fork(). Returns 0 or an errno. */
LG_HIDDEN int lg_fork_init(void);

#endif
