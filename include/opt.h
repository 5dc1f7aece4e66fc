/* SPDX-License-Identifier: MIT */
/*
 * opt.h - a program's options: one table gives parsing, ranges, --help and the parameters of the
 * run row.
 *
 *	static int64_t threads = 2;
 *	static const struct opt opts[] = {
 *		{'t', "threads", "threads that count", .num = &threads, .min = 2, .max = 64},
 *		{0}};
 *
 * The variable's initial value is the default.  Exactly one of num, flag, text is set.
 */
#ifndef OPT_H
#define OPT_H

#include <stdbool.h>
#include <stdint.h>

/*
 * What a number counts; it decides the suffixes that are understood and the name of the
 * parameter.
 */
enum opt_unit {
	OPT_COUNT,       /* k, M, G = powers of 1,000; "threads" */
	OPT_BYTES,       /* K, M, G = powers of 1,024; "write" is recorded as "write_bytes" */
	OPT_BYTES_PER_S, /* K, M, G = powers of 1,024; "rate" is recorded as "rate_bytes_per_s" */
	OPT_MS,          /* ms, s; a bare number is ms; "sleep" is recorded as "sleep_ms" */
};

struct opt {
	int key;          /* the short option's letter; 0 = none */
	const char *name; /* the long option; the parameter's name with _ for - */
	const char *help;

	int64_t *num; /* a number in [min, max] */
	int64_t min, max;
	int64_t quick; /* its value under --quick unless given; 0 = no other */
	enum opt_unit unit;
	const char *zero; /* what 0 stands for ("calibrated", "the system's default"), for --help */

	bool *flag; /* present or not */

	const char **text;          /* a string ... */
	const char *const *choices; /* ... one of these, NULL at the end; NULL = any */
	const char *metavar;        /* what --help calls the string; NULL = WORD */
};

/*
 * Reads a number with the suffixes of its unit.  0, or EINVAL for anything that is not one
 * number, or ERANGE when it does not fit into 64 bits.
 */
int opt_number(const char *text, enum opt_unit unit, int64_t *number);

#endif
