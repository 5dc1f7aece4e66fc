/* SPDX-License-Identifier: MIT */
/*
 * files.h - how many descriptors this process may open (RLIMIT_NOFILE).
 */
#ifndef FILES_H
#define FILES_H

#include <stdint.h>

/*
 * Raises the soft limit to n descriptors, or as far as that is allowed, and never lowers it.
 * Returns the soft limit then: no descriptor has that number or a higher one.
 */
int64_t files_allow(int64_t n);

#endif
