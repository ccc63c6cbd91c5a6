/*
 * What the kernel says about this process's memory, and about the machine.
 */
#ifndef DEMO_PROCESS_H
#define DEMO_PROCESS_H

#include <stddef.h>

/* Bytes of memory that are mapped and present; 0 where the system does not say. */
size_t process_resident_bytes(void);

/* The most that ever was present at a time, as the kernel counts; 0 where it does not say. */
size_t process_most_resident_bytes(void);

/* Bytes that the process has had read from disks, and written to them, so far; 0 where the system does not say. */
struct process_io {
    size_t read;
    size_t written;
};
void process_io(struct process_io *out_io);

/* Processor, kernel and day, in one line. */
void process_machine(char *text, size_t size);

#endif
