/* SPDX-License-Identifier: MIT */
/*
 * files.h - the descriptors of this process: how many it may open (RLIMIT_NOFILE), and the first.
 */
#ifndef FILES_H
#define FILES_H

#include <stdint.h>

/*
 * Raises the soft limit to n descriptors, or as far as that is allowed, and never lowers it.
 * Returns the soft limit then: no descriptor has that number or a higher one.
 */
int64_t files_allow(int64_t n);

/*
 * Makes the table of descriptors large enough for n of them, as far as the soft limit allows.  Each time that the
 * kernel enlarges it, by doubling, it lets a process with several threads wait for an RCU grace period
 * (expand_fdtable() in fs/file.c): 8 to 24 ms here, and nothing for one with a single thread.  So to be called
 * before there are several.  It takes 8 bytes of the kernel's memory each; FILES_FEW is for a program that
 * does not know.
 */
enum { FILES_FEW = 1024 };
void files_make_room(int64_t n);

/*
 * Opens /dev/null in place of those of standard input, output and error that are closed.  Else the
 * next file or socket would be one of them, and get what is meant for a person.  To be called first.
 */
void files_open_standard(void);

#endif
