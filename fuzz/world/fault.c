#include "fault.h"

#include <stddef.h>

int (*world_fault_plan)(unsigned call);

int world_fault(unsigned call)
{
    return world_fault_plan != NULL ? world_fault_plan(call) : 0;
}
