#include "background.h"

#include "../base/atomic.h"
#include "../base/lock.h"
#include "../base/os.h"

static void *run_background(void *argument)
{
    lg_background *self = argument;
    lg_os_thread_ordinary();
    lg_lock_acquire(self->lock);
    self->run(self);
    lg_lock_release(self->lock);
    return NULL;
}

int lg_background_start(lg_background *self)
{
    if (self->running)
        return 0;
    if (!self->orders_ready) {
        pthread_condattr_t attributes;
        pthread_condattr_init(&attributes);
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        pthread_cond_init(&self->orders, &attributes);
        pthread_condattr_destroy(&attributes);
        self->orders_ready = true;
    }
    self->stopping = false;
    int error = lg_os_thread_start(&self->thread, self->name, run_background, self);
    self->running = error == 0;
    if (error == 0) {
        self->wanted = true;
        lg_store_relaxed_32(&self->vanished, 0);
    }
    return error;
}

void lg_background_stop(lg_background *self)
{
    lg_lock_acquire(self->lock);
    bool there = self->running;
    self->wanted = false;
    self->stopping = there;
    lg_store_relaxed_32(&self->vanished, 0);
    if (there)
        pthread_cond_signal(&self->orders);
    lg_lock_release(self->lock);
    if (!there)
        return;
    lg_os_thread_join(self->thread);
    lg_lock_acquire(self->lock);
    self->running = false;
    lg_lock_release(self->lock);
}

void lg_background_wake(lg_background *self)
{
    if (self->running)
        pthread_cond_signal(&self->orders);
}

void lg_background_wait(lg_background *self, const struct timespec *deadline)
{
    struct timespec never;
    if (deadline == NULL)
        lg_os_monotonic_after(UINT64_MAX, &never);
    lg_lock_wait(self->lock, &self->orders, deadline != NULL ? deadline : &never);
}

bool lg_background_is_due(const struct timespec *time)
{
    struct timespec now;
    lg_os_monotonic_after(0, &now);
    return now.tv_sec > time->tv_sec || (now.tv_sec == time->tv_sec && now.tv_nsec >= time->tv_nsec);
}

void lg_background_start_again(lg_background *self)
{
    lg_lock_acquire(self->lock);
    if (lg_load_relaxed_32(&self->vanished) != 0 && self->wanted)
        (void)lg_background_start(self); /* if that fails, its work waits until the next try */
    lg_lock_release(self->lock);
}

void lg_background_forked(lg_background *self)
{
    self->orders_ready = false; /* its waiter vanished; a fresh one is made when needed */
    /* A restart that was still to come, in a child's child, stays to come. */
    lg_store_relaxed_32(&self->vanished, self->wanted);
    self->running = self->stopping = false;
}
