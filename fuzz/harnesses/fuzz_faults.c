/*
 * The model's operations while system calls fail: the first bytes say which, when, how often and with what
 * errno. Whatever fails, no memory is handed out twice or lost, contents stay, and when nothing fails any more
 * everything can be given back.
 */
#include <errno.h>

#include "model/model.h"
#include "harnesses/faults.h"

#define FAULTS 4

static fault faults[FAULTS];
static unsigned fault_count;

static int decide(enum lg_system_call call)
{
    return fault_next(faults, fault_count, call);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int errors[] = {ENOMEM, ENOSPC, EIO,    EINVAL, EAGAIN, EMFILE, EOPNOTSUPP, EFBIG,
                                 EPERM,  EACCES, ENOENT, EBADF,  EFAULT, ENOSYS, EDQUOT,     EBUSY};
    static model m;
    input in = {data, data + size};
    fault_count = 1 + input_below(&in, FAULTS);
    for (unsigned i = 0; i < fault_count; i++) {
        faults[i].call = (enum lg_system_call)input_below(&in, LG_SYS_COUNT);
        faults[i].after = input_below(&in, 16);
        uint8_t how = input_u8(&in);
        faults[i].times = (how & 3) == 3 ? 1000 : 1 + (how >> 6);
        faults[i].error = errors[how >> 2 & 15];
    }
    model_begin(&m, true);
    lg_os_fault = decide;
    while (!input_empty(&in))
        model_step(&m, &in);
    lg_os_fault = NULL;
    model_end(&m);
    return 0;
}
