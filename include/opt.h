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

#include <jansson.h>
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
	OPT_MS, /* ms, s, also 1.5s; a bare number is ms; "sleep" is recorded as "sleep_ms" */
};

struct opt {
	int key;          /* the short option's letter; 0 = none */
	const char *name; /* the long option; the parameter's name with _ for - */
	const char *help;

	int64_t *num; /* a number in [min, max] */
	int64_t min, max;
	int64_t quick; /* its value under --quick unless given; 0 = no other */
	enum opt_unit unit;
	bool *given;      /* set if it is on the command line; NULL = nobody asks */
	const char *zero; /* what 0 stands for ("calibrated", "the system's default"), for --help */

	bool *flag; /* present or not */

	const char **text;          /* a string ... */
	const char *const *choices; /* ... one of these, NULL at the end; NULL = any */
	bool lines;                 /* may have line breaks and control characters */
	const char *metavar;        /* what --help calls the string; NULL = WORD */
	const char *without; /* what it is set to without a string; NULL = it must have one */
};

enum { OPT_TABLES = 3 };

/* A command line: its options, and what --help says. */
struct opt_page {
	const char *doc; /* before the options, and after them behind a \v */
	/* what stands there instead, made when it is asked for, to be freed; NULL = doc is all */
	char *(*details)(const void *about);
	const void *about; /* its argument */
	struct opt_table {
		const char *heading;
		const struct opt *opts; /* ended by {0} */
	} tables[OPT_TABLES];
	const char *arguments; /* what --help calls the arguments that follow; NULL = none may */
	int *rest;             /* where their first one stands in argv; argc = there is none */
	const bool *quick; /* if it is set at the end, what was not given gets its quick value */
};

/*
 * Sets the variables of the tables.  Ends the process: 0 after --help and --version, 2 with one
 * line on stderr for bad input.
 */
void opt_parse(const struct opt_page *page, int argc, char *argv[]);

/*
 * For arguments behind the options (.rest): the process ends, as above, if it is one that a message cannot repeat in a
 * line; if there is any.
 */
void opt_readable(const char *what, const char *arg);
_Noreturn void opt_unexpected(const char *arg);

/* Adds every option of a table with its value to a row's parameters. */
void opt_record(json_t *params, const struct opt *opts);

/*
 * Sets the variables of a table to what opt_record() wrote; strings stay the object's.  NULL, or what is
 * wrong with the first one that is missing, of another type or out of range.
 */
const char *opt_restore(const json_t *params, const struct opt *opts);

/*
 * Reads a number with the suffixes of its unit.  0, or EINVAL for anything that is not one
 * number, or ERANGE when it does not fit into 64 bits.
 */
int opt_number(const char *text, enum opt_unit unit, int64_t *number);

#endif
