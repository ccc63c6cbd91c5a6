/*
 * What the kernel says about this process's memory, and about the machine.
 */
#ifndef DEMO_PROCESS_H
#define DEMO_PROCESS_H

#include <stddef.h>

/* Bytes of memory that are mapped and present; 0 where the system does not say. */
size_t process_resident_bytes(void);

/* Processor, kernel and day, in one line. */
void process_machine(char *text, size_t size);

#endif
