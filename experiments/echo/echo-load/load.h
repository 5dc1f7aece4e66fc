/* SPDX-License-Identifier: MIT */
/*
 * load.h - what the parts of the load generator share: the plan, what each worker counts, and
 * what /proc shows of the server.  load.c starts and controls the workers of load_worker.c,
 * load_server.c reads /proc, load_report.c sums up.
 */
#ifndef LOAD_H
#define LOAD_H

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "address.h"
#include "histogram.h"
#include "span.h"

/* The lengths of requests: from one of several ranges, in proportion to its weight. */
enum { LOAD_SIZES = 16, LOAD_SIZE_MAX = 16 << 20 };

struct load_sizes {
	int n;
	int64_t weight; /* of all */
	struct {
		int64_t low, high, weight;
	} range[LOAD_SIZES];
};

/* What is to be done; the same for all workers. */
struct load_plan {
	struct address server;
	int64_t workers;           /* threads of all processes */
	int64_t connections, idle; /* of all workers */
	int64_t pipeline;
	int64_t at_once; /* connections of a closed loop with a request under way; 0 = all */
	int64_t rate;    /* requests a second of all workers; 0 = a closed loop */
	bool fixed;      /* arrivals at equal distances instead of Poisson's */
	bool churn;
	bool text; /* the requests are of printable ASCII */
	int64_t ramp_ns, seed;
	struct load_sizes sizes;

	/* eventfds */
	int ready;              /* counts workers that wait in load_work() */
	int warm, start, leave; /* semaphores: so many may warm up, be measured, close */
	int stop;               /* readable: the window has changed */

	/* for the report */
	const char *server_name, *sizes_text, *arrivals;
};

/* What a worker counts; from LOAD_REFUSED on these are errors, by kind. */
enum load_count {
	LOAD_UNANSWERED, /* of the requests in the histogram */
	LOAD_IN_WINDOW,  /* answers received before its end: these are the rate */
	LOAD_BYTES,      /* of these */
	LOAD_SERVED,     /* connections that ever got an answer; not with churn */
	LOAD_OPEN,       /* connections, now; those it closes when it leaves are not taken away */
	LOAD_WRONG_BYTES,
	LOAD_LATE_SENDS, /* open loop: requests that the generator itself sent over load_late_ns late */
	LOAD_LATE_NS, /* open loop: of all sends together, since due and a connection was free */
	LOAD_REFUSED,
	LOAD_RESET,
	LOAD_CLOSED, /* the server ended a connection that was not at its end */
	LOAD_TIMED_OUT,
	LOAD_WRONG,   /* an answer with wrong bytes */
	LOAD_NO_PORT, /* this machine had none left for another connection; only with churn */
	LOAD_OTHER,
	LOAD_COUNTS
};

/*
 * What a worker has counted so far, in memory that all processes share: of the requests that were
 * due in the window.  Unanswered ones are in the histogram, too, with a latency until the window's
 * end at least, so that a server that answers nothing does not seem fast.
 */
struct load_tally {
	struct histogram latency;
	_Atomic int64_t count[LOAD_COUNTS];
	_Atomic int last_error; /* an errno; 0 = the server closed */
	struct span span;       /* the window, or what there was of it */
	int64_t ready_ns;       /* in the window: it could have run, but had no CPU */
	int64_t cpu_ns;         /* until the last answer, so of all requests */
};

/* Also shared: CLOCK_MONOTONIC of the window in which requests are due, set before each start. */
struct load_window {
	_Atomic int64_t begin_ns, end_ns;
	_Atomic int64_t workers; /* those that have a connection left */
	_Atomic int64_t generator,
		generators; /* which one of a barrier's this is, from 0; of how many */
};

/* For so long after the end answers are waited for. */
static const int64_t load_grace_ns = 1000000000;

/* A send that is later is one that a CPU was missing for: a timer alone is some 0.1 ms late. */
static const int64_t load_late_ns = 1000000;

/* The bytes that are sent; before the fork. */
void load_prepare(const struct load_plan *plan);

/*
 * One worker: opens its connections, warms up, makes its share of the load, and closes its
 * connections; before each but the first it counts itself as ready and waits for the semaphore.  0;
 * or at once the errno of a connection that could not be opened.
 */
int load_work(const struct load_plan *plan, struct load_window *window, struct load_tally *tally,
	      int64_t number);

/*
 * The server, with the processes it has forked.  To read /proc of thousands of threads takes longer
 * than a short measurement, and CPU time that the load needs: so only while no requests are sent.
 */
struct load_server {
	int64_t begin_ns, end_ns; /* of the snapshot: CLOCK_MONOTONIC */
	int64_t cpu_ns;           /* used so far */
	int64_t rss_bytes;        /* pages that processes share count in each of them, */
	int64_t pss_bytes;        /* here in parts; -1: unknown */
	int64_t processes;
	int64_t files;          /* descriptors of them all; 0 = unknown, as before Linux 6.2 */
	int64_t cpus, with_own; /* those it may run on; with our own, if it shares any, else 0 */
	struct load_thread {
		pid_t id;
		int64_t cpu_ns, voluntary, involuntary; /* so far */
	} * threads;                                    /* by id */
	size_t threads_n, threads_room;
};

/* False if there is no such process.  {0} at first; the next snapshot reuses its memory. */
bool load_snapshot(pid_t server, struct load_server *now);

/* What it did between two snapshots; of threads that have ended only the CPU time is known. */
struct load_used {
	int64_t elapsed_ns, cpu_ns;
	int64_t busiest_ns;             /* CPU time of its busiest thread */
	int64_t voluntary, involuntary; /* switches */
};

/* What the kernel has, for all processes of the machine; 0: unknown. */
struct load_kernel {
	int64_t bytes;           /* slab, kernel stacks and page tables */
	int64_t available_bytes; /* MemAvailable */
	int64_t sockets;         /* of TCP, in this network namespace */
	int64_t tracked;         /* connections that nf_conntrack follows, there */
};

struct load_kernel load_kernel(void);

struct load_used load_used(const struct load_server *before, const struct load_server *after);

/* At the end, with all connections still open; what has grown has since before the first one. */
struct load_held {
	int64_t open_ns;   /* until all were open, with the start of the load's processes */
	int64_t rss_bytes; /* of all processes of the load */
	struct load_kernel kernel_grown;
	int64_t server_grown, server_grown_files; /* bytes and descriptors, with --server-pid */
};

/* What was measured, of all workers. */
struct load_result {
	struct load_tally all;
	int64_t requests; /* answered */
	int64_t errors;

	int64_t begin_ns;   /* of the window: CLOCK_MONOTONIC */
	int64_t elapsed_ns; /* of the window */

	/* of the generator */
	int64_t cpu_ns;                         /* until the last answer, so of all requests */
	int64_t window_cpu_ns;                  /* of these, in the window */
	int64_t thread_cpu_ns, thread_ready_ns; /* in the window: of its busiest thread */
	int64_t cpus;                           /* that it may run on */

	const struct load_server *server; /* at the end; NULL = without --server-pid */
	struct load_used used;

	struct load_held held;
};

/* What was counted so far: all, requests, errors; the rest is 0. */
void load_count(struct load_result *result, const struct load_plan *plan,
		const struct load_tally *tallies);

/* All, once the workers are ready; before and after: two snapshots, or NULL. */
void load_sum_up(struct load_result *result, const struct load_plan *plan,
		 const struct load_tally *tallies, const struct load_server *before,
		 const struct load_server *after);

/*
 * What of the generator itself limited what was measured: "ports" (none was left), "cpu" (a thread ran, or
 * waited for a CPU, nearly all the time, or all of its CPUs were used up), "late" (many of its sends were),
 * "none".
 */
const char *load_limit(const struct load_result *result);

/*
 * The keys of a sample row: what adds up over generators, and what is of one machine.  And those of a row for what was
 * counted since an earlier count.
 */
void load_record(json_t *row, const struct load_result *result);
void load_record_machine(json_t *row, const struct load_result *result);
void load_record_since(json_t *row, const struct load_result *now,
		       const struct load_result *before);

/*
 * Reads what load_record() and histogram_record() have written: the tally's counts and histogram, and the result of it
 * alone.  NULL; or the key whose value is none, or does not agree with the others.
 */
const char *load_read(const json_t *sample, const json_t *histogram, struct load_tally *tally,
		      struct load_result *result);

/* Adds to the result what its generator took for it; the time becomes the longer one. */
void load_add_generator(struct load_result *result, const struct load_result *one);

/* A table for people: what adds up over generators, what is of one machine, and what to take from it. */
void load_print(FILE *out, const struct load_plan *plan, const struct load_result *result);
void load_print_machine(FILE *out, const struct load_plan *plan, const struct load_result *result);
void load_print_notes(FILE *out, const struct load_plan *plan, const struct load_result *result);
void load_print_note(FILE *out, const char *note);

#endif
