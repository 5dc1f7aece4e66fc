/* SPDX-License-Identifier: MIT */
/*
 * scratch.h - one folder for temporary files, which is gone afterwards, whatever ends the program.
 *
 * Processes that are started meanwhile have it as TMPDIR.  It lives until they have ended, too.
 */
#ifndef SCRATCH_H
#define SCRATCH_H

/* Makes it, in TMPDIR or /tmp.  Ends the process with status 2 where that fails. */
void scratch_begin(void);

/* The path of a file in it; overwritten by the next call. */
const char *scratch_path(const char *file);

/* Removes it with all files, but no folders, in it, once no process that was started is left. */
void scratch_end(void);

#endif
