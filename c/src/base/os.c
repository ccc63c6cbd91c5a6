/* What the files of os.h share: injected failures, pages, and calls that go in steps. */
#include "os.h"

#include "os_call.h"

#include <unistd.h>

#ifdef LG_TESTING
int (*lg_os_fault)(enum lg_system_call call);
int (*lg_os_fault_step)(enum lg_system_call call, uint64_t at, uint64_t len);
#endif

size_t lg_os_page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

#define SMALLEST_STEP (64 * LG_KIB)

static int one_step(const lg_os_steps *call, uint64_t at, uint64_t len)
{
#ifdef LG_TESTING
    int fault = lg_os_fault_step != NULL ? lg_os_fault_step(call->name, at, len) : 0;
    if (fault != 0)
        return fault;
#endif
    return call->call(call, at, len);
}

int lg_os_in_steps(const lg_os_steps *call, uint64_t at, uint64_t len)
{
    uint64_t step = lg_min(call->most, len);
    unsigned tries = 0;
    while (len != 0) {
        uint64_t now = lg_min(step, len);
        int error = one_step(call, at, now);
        if (error == 0) {
            at += now;
            len -= now;
            tries = 0;
        } else if (error != EINTR || ++tries == LG_OS_TRIES) {
            return error;
        } else {
            step = lg_max(now / 2 & ~(SMALLEST_STEP - 1), SMALLEST_STEP);
        }
    }
    return 0;
}
