/* Which system calls fail. */
#ifndef FUZZ_WORLD_FAULT_H
#define FUZZ_WORLD_FAULT_H

/* May answer an errno for a call to fail with; NULL: none fails. */
extern int (*world_fault_plan)(unsigned call);
int world_fault(unsigned call);

#endif
