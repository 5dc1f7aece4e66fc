/* SPDX-License-Identifier: MIT */
/* Verdicts made by hand: until all programs declare theirs. */
#ifndef OLD_H
#define OLD_H

#include "exp.h"
#include "judge.h"

void old_verdict(struct run *run, const char *claim, enum verdict verdict,
		 const struct field *numbers, const char *sentence, ...)
	__attribute__((format(printf, 5, 6)));
void old_control(struct run *run, bool held, const char *what, ...)
	__attribute__((format(printf, 3, 4)));
void old_why(struct run *run, const char *why, ...) __attribute__((format(printf, 2, 3)));
void old_note(struct run *run, const char *note, ...) __attribute__((format(printf, 2, 3)));
int old_end(struct run *run, void (*report)(struct run *run));

#endif
