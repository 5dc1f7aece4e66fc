/* SPDX-License-Identifier: MIT */
/*
 * proc.h - numbers in the kernel's text files, of which each line is a key and a number.
 */
#ifndef PROC_H
#define PROC_H

#include <stdint.h>
#include <stdio.h>

/*
 * The number behind a key with which a line begins, such as 12 for "VmRSS:" of "VmRSS: 12 kB"; for ""
 * the one on the first line.  `absent` where there is no such file or line.  A key that others begin
 * with ends in what follows it.
 */
int64_t proc_number(const char *path, const char *key, int64_t absent);

/* The same of a file that is open, which is closed; NULL is one that is not there. */
int64_t proc_number_in(FILE *file, const char *key, int64_t absent);

#endif
