/* Threads: barriers among them, starting one, what the process has for all of them; and time. */
#include "os.h"

#include "os_call.h"

#include <dlfcn.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of linux/membarrier.h, which comes with the kernel's headers and not with every C library; Linux 4.14. */
enum { MEMBARRIER_PRIVATE_EXPEDITED = 1 << 3, MEMBARRIER_REGISTER_PRIVATE_EXPEDITED = 1 << 4 };

int lg_os_membarrier_register(void)
{
    LG_OS_FAULT(LG_SYS_MEMBARRIER);
    return LG_OS_CALL(syscall(SYS_membarrier, MEMBARRIER_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0);
}

int lg_os_membarrier(void)
{
    LG_OS_FAULT(LG_SYS_BARRIER);
    int error = LG_OS_CALL(syscall(SYS_membarrier, MEMBARRIER_PRIVATE_EXPEDITED, 0, 0) == 0);
    /* EPERM: not registered. A process that was restored from a checkpoint has to do that again. */
    if (error == EPERM && lg_os_membarrier_register() == 0)
        error = LG_OS_CALL(syscall(SYS_membarrier, MEMBARRIER_PRIVATE_EXPEDITED, 0, 0) == 0);
    return error;
}

void lg_os_wait_for_stores(void)
{
    struct timespec begin, now, duration = {0, 1000 * 1000};
    clock_gettime(CLOCK_MONOTONIC, &begin);
    do { /* a signal, or a sandbox that forbids to sleep, ends one round early */
        (void)LG_OS_CALL(nanosleep(&duration, NULL) == 0);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - begin.tv_sec) * 1000000000L + (now.tv_nsec - begin.tv_nsec) < duration.tv_nsec);
}

void lg_os_pause(unsigned round)
{
    if (round < 16) {
        sched_yield();
    } else {
        struct timespec duration = {0, 50 * 1000};
        (void)LG_OS_CALL(nanosleep(&duration, NULL) == 0);
    }
}

/*
 * How the process itself is scheduled, that is its main thread, when the library is loaded. The worker is started by
 * whoever configures it or needs memory after a fork, who may be pinned to a processor or of a real-time policy: the
 * worker would steal from that processor, before all else there.
 */
static struct {
    cpu_set_t processors[8]; /* 8,192, the most that Linux knows */
    bool known;
    int nice;
} own_schedule;

__attribute__((constructor)) static void look_at_own_schedule(void)
{
    own_schedule.known = LG_OS_CALL(sched_getaffinity(getpid(), sizeof(own_schedule.processors),
                                                      own_schedule.processors) == 0) == 0;
    (void)LG_OS_CALL((errno = 0, own_schedule.nice = getpriority(PRIO_PROCESS, (id_t)getpid()), errno == 0));
}

void lg_os_thread_ordinary(void)
{
    int nice = own_schedule.nice > 0 ? own_schedule.nice : 0;
    (void)LG_OS_CALL(setpriority(PRIO_PROCESS, 0, nice) == 0); /* of this thread alone, on Linux */
}

int lg_os_thread_start(pthread_t *out, const char *name, void *(*run)(void *), void *argument)
{
    LG_OS_FAULT(LG_SYS_THREAD);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(out, NULL, run, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0)
        return error;
    (void)pthread_setname_np(*out, name);
    /* From here, since the thread itself might not get to run where it would begin. */
    if (own_schedule.known)
        (void)pthread_setaffinity_np(*out, sizeof(own_schedule.processors), own_schedule.processors);
    struct sched_param none = {0};
    (void)pthread_setschedparam(*out, SCHED_OTHER, &none);
    return 0;
}

void lg_os_thread_join(pthread_t thread)
{
    int cancel;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    pthread_join(thread, NULL);
    pthread_setcancelstate(cancel, NULL);
}

int lg_os_key_create(pthread_key_t *out, void (*destructor)(void *))
{
    LG_OS_FAULT(LG_SYS_KEY);
    return pthread_key_create(out, destructor);
}

int lg_os_key_set(pthread_key_t key, const void *value)
{
    LG_OS_FAULT(LG_SYS_KEY_SET);
    return pthread_setspecific(key, value);
}

int lg_os_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
    LG_OS_FAULT(LG_SYS_ATFORK);
    return pthread_atfork(prepare, parent, child);
}

/* Weak: static programs have no loader and unload nothing; before glibc 2.34 it is a library of its own. */
#pragma weak dladdr
#pragma weak dlsym
#pragma weak dlerror

void lg_os_stay_loaded(void)
{
    static const char here;
    Dl_info object;
    if (dladdr == NULL || dlsym == NULL || dlerror == NULL || dladdr(&here, &object) == 0 || object.dli_fname == NULL)
        return;
    /* By its name: the linker warns of a program that is static and has a call of it, weak or not. */
    void *symbol = dlsym(RTLD_DEFAULT, "dlopen");
    void *(*open_object)(const char *name, int flags);
    memcpy(&open_object, &symbol, sizeof open_object);
    /* The handle is never closed. The main program may be refused; it stays loaded anyway. */
    if (symbol == NULL || open_object(object.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE) == NULL)
        (void)dlerror();
}

void lg_os_monotonic_after(uint64_t nanoseconds, struct timespec *out)
{
    clock_gettime(CLOCK_MONOTONIC, out);
    uint64_t seconds = nanoseconds / 1000000000u;
    /* A hundred years are as good as for ever, and can't overflow. */
    if (seconds > (uint64_t)100 * 365 * 86400)
        seconds = (uint64_t)100 * 365 * 86400;
    out->tv_sec += (time_t)seconds;
    out->tv_nsec += (long)(nanoseconds % 1000000000u);
    if (out->tv_nsec >= 1000000000L) {
        out->tv_sec += 1;
        out->tv_nsec -= 1000000000L;
    }
}
