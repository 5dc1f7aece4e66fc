/* SPDX-License-Identifier: MIT */
/*
 * assembly.h - what the loop of x += 1 was compiled to, told from a compiler's assembly.
 *
 * A heuristic for x86-64 (AT&T's syntax) and AArch64: memory that is not on the stack is x.
 */
#ifndef ASSEMBLY_H
#define ASSEMBLY_H

#include <stdbool.h>
#include <stdio.h>

enum assembly_form {
	ASSEMBLY_UNKNOWN,
	ASSEMBLY_LOAD_STORE, /* x is loaded, and later stored */
	ASSEMBLY_ONE,        /* one instruction adds to memory */
	ASSEMBLY_REGISTER,   /* x is in a register over the whole loop */
	ASSEMBLY_FOLDED,     /* no loop is left: one addition of the whole sum */
	ASSEMBLY_LOCKED,     /* one instruction, or a pair, that keeps other CPUs out */
	ASSEMBLY_FORMS
};

extern const char *const assembly_form_names[ASSEMBLY_FORMS]; /* "unknown", "load-store", ... */

struct assembly {
	enum assembly_form form;
	int between;     /* instructions between load and store; 0 for one; -1 = no such pair */
	char code[2048]; /* the loop, or else the function: a line an instruction, marked */
};

/* The assembly of the machine that this program was compiled for. */
#ifdef __aarch64__
enum { ASSEMBLY_HERE_IS_ARM = true };
#else
enum { ASSEMBLY_HERE_IS_ARM = false };
#endif

/* Reads what a function of the file was compiled to. */
struct assembly assembly_read(FILE *in, const char *function, bool arm);

#endif
