/* SPDX-License-Identifier: MIT */
/*
 * pipe_wait - is it safe to wait for a child before reading what it prints into a pipe?
 *
 * A child prints so many bytes and ends; its parent waits for it (waitpid), and reads the pipe then.
 * A pipe holds its size and no more: a child that prints more waits in write until somebody reads,
 * and the parent, who alone could, waits for the child.  They would wait forever.
 *
 * That is recognised by its state, not by a time that has passed: the pipe has no room (FIONREAD),
 * the child is asleep in write, a thread of the parent in waitpid.  Nobody but the parent has the reading
 * end, so nothing can change that.  Then the main thread reads, so that the child and the wait end.
 */
#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "child.h"
#include "exp.h"
#include "judge.h"
#include "net.h"
#include "pattern.h"
#include "span.h"
#include "thread.h"

enum { WAIT_FIRST, READ_FIRST };
enum { PRINT = 4096, LOOKS_STUCK = 3, LOOK_NS = 500000 };

static const struct variant variants[] = {
	[WAIT_FIRST] = {"wait-first", "the parent waits for the child, then reads"},
	[READ_FIRST] = {"read-first", "it reads to the end, then waits (control)"},
	{0}};

static const struct claim claims[] = {
	{"buf-pipe-deadlock", "waiting for a child before reading its pipe is safe",
	 "wait-first=read-first", HOLDS,
	 .why = {[DEPENDS] =
			 "a pipe holds its size: a child that prints more sleeps in write until somebody reads, and the only one who could sleeps in waitpid until the child ends. So read to the end first, then wait.",
		 [REFUTED] =
			 "the child sleeps in write until somebody reads, and the only one who could sleeps in waitpid until the child ends. So read to the end first, then wait."}},
	{0}};

static const struct row_field fields[] = {
	{"printed_bytes", "that the child is to print", "the child|prints", .key = true},
	{"fits", "1: that is at most the pipe's size"},
	{"pipe_bytes", "size of the pipe (F_GETPIPE_SZ)", "the pipe|holds"},
	{"stuck", "1: the pipe was full, the child asleep in write, the parent in waitpid", "stuck",
	 SHOW_NONZERO},
	{"unread_bytes", "in the pipe when it was stuck, or when the parent began to read",
	 "unread|then"},
	{"read_bytes", "by the parent, in all", "read in|the end"},
	{"read_first_stuck", "stuck, in the control", .zero = true,
	 .sham = "read-first=wait-first"},
	{"missing_bytes", "printed, and not read in the end", .zero = true, .sham = "lose"},
	{"misplaced_bytes", "read where another belongs", .zero = true, .sham = "disorder"},
	{"elapsed_ns", "of the trial"},
	{0}};

static const struct bound bounds[] = {
	{"enough_trials", 6,
	 "whether it fits is not chance; two amounts that fit, three times each"},
	{0}};

/* Shared with the child. */
struct child {
	atomic_bool writing; /* it is in write, or about to call it */
};

struct parent {
	pid_t child;
	pthread_t thread;
	atomic_int tid; /* of the thread that waits; 0 before */
	atomic_bool waited;
};

/* --- child and parent ----------------------------------------------------- */

static void print(int fd, int64_t bytes, struct child *self)
{
	uint8_t buffer[PRINT];

	for (int64_t at = 0; at < bytes;) {
		int64_t left = bytes - at < PRINT ? bytes - at : PRINT;
		ssize_t n;

		pattern_fill(buffer, (size_t)left, (uint64_t)at);
		atomic_store(&self->writing, true);
		n = write(fd, buffer, (size_t)left);
		atomic_store(&self->writing, false);
		if (n < 0)
			_exit(EXIT_USAGE);
		at += n;
	}
}

static void *wait_for_child(void *argument)
{
	struct parent *p = argument;

	atomic_store(&p->tid, gettid());
	while (waitpid(p->child, NULL, 0) < 0)
		if (errno != EINTR)
			err(EXIT_USAGE, "waitpid");
	atomic_store(&p->waited, true);
	return NULL;
}

static void begin_wait(struct parent *p)
{
	check(pthread_create(&p->thread, NULL, wait_for_child, p), "pthread_create");
}

/*
 * Waits until the child has ended, or until nothing can change any more; true for the latter.  A
 * child in write while the pipe is full has either just filled it, and is not asleep, or is blocked.
 */
static bool gets_stuck(struct parent *p, const struct child *child, int fd)
{
	int looks = 0;

	while (looks < LOOKS_STUCK) {
		if (atomic_load(&p->waited) || !run_sleep_until(span_now() + LOOK_NS))
			return false;
		if (net_inq(fd) > net_sndbuf(fd) - PRINT && atomic_load(&child->writing) &&
		    process_state(p->child) == 'S' && thread_state(atomic_load(&p->tid)) == 'S')
			looks++;
		else
			looks = 0;
	}
	return true;
}

/* Reads to the end; returns how many bytes. */
static int64_t read_all(int fd, int64_t *misplaced)
{
	uint8_t buffer[PRINT];
	int64_t bytes = 0;
	ssize_t n;

	while ((n = read(fd, buffer, sizeof(buffer))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		check_fd((int)n, "read");
		*misplaced += (int64_t)pattern_misplaced(buffer, (size_t)n, (uint64_t)bytes);
		bytes += n;
	}
	return bytes;
}

static void measure(struct run *run, struct child *child, int64_t bytes)
{
	struct net_pair pipe = net_pair(NET_PIPE, (struct net_ask){0});
	bool wait_first = run_variant(run) == WAIT_FIRST;
	int64_t begin_ns = span_now();
	int64_t size = net_sndbuf(pipe.rx);
	struct parent parent = {0};
	int64_t read, unread, misplaced = 0;
	bool stuck = false;

	atomic_store(&child->writing, false);
	parent.child = child_fork();
	if (parent.child == 0) {
		close(pipe.rx);
		print(pipe.tx, bytes, child);
		_exit(0);
	}
	close(pipe.tx);
	if (wait_first) {
		begin_wait(&parent);
		stuck = gets_stuck(&parent, child, pipe.rx);
	}
	unread = net_inq(pipe.rx);
	read = read_all(pipe.rx, &misplaced) - run_sham(run, "lose");
	if (!wait_first)
		begin_wait(&parent);
	check(pthread_join(parent.thread, NULL), "pthread_join");
	close(pipe.rx);
	run_record(run,
		   (struct field[]){{"printed_bytes", bytes},
				    {"fits", bytes <= size},
				    {"pipe_bytes", size},
				    {"stuck", stuck},
				    {"unread_bytes", unread},
				    {"read_bytes", read},
				    {"read_first_stuck", stuck && run_label(run) == READ_FIRST},
				    {"missing_bytes", bytes - read},
				    {"misplaced_bytes", misplaced},
				    {"elapsed_ns", span_now() - begin_ns},
				    {0}});
}

/* --- judge --------------------------------------------------------------- */

/* In how many trials the parent that waits first was stuck, of what fits, or of what does not. */
static struct share stuck_of(struct run *run, bool fits)
{
	return share_nonzero(
		run_values_where(run, WAIT_FIRST, "stuck", (struct field[]){{"fits", fits}, {0}}));
}

static void judge(struct run *run)
{
	int64_t enough = (int64_t)run_bound(run, "enough_trials");
	struct share within = stuck_of(run, true);
	struct share beyond = stuck_of(run, false);

	run_judge(
		run, "buf-pipe-deadlock",
		by_case(never_happens(within, enough), never_happens(beyond, enough)),
		"{within} children that printed at most the {pipe_bytes} that the pipe holds got stuck, and {beyond} that printed more, from one byte on: asleep in write, the parent in waitpid, the pipe full. Once the pipe was read, all of them ended",
		number_real("pipe_bytes", run_median(run, WAIT_FIRST, "pipe_bytes")),
		number_share("within", within), number_share("beyond", beyond));
}

static const struct experiment about = {
	.name = "pipe_wait",
	.group = "buffers",
	.order = 316,
	.summary = "Is it safe to wait for a child before reading what it prints?",
	.intro =
		"A child prints into a pipe, 4,096 bytes at a time; stuck: it is asleep in write and the parent in waitpid.",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.variants = variants,
	.trials = 10,
	.quick_trials = 3,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);
	struct child *child = child_share(sizeof(*child));
	struct net_pair pipe = net_pair(NET_PIPE, (struct net_ask){0});
	int64_t size = net_sndbuf(pipe.tx);
	const int64_t amounts[] = {size / 2, size, size + 1, 2 * size};

	net_close(&pipe);
	pattern_disorder(run_sham(run, "disorder"));
	while (run_next(run))
		for (size_t i = 0; i < sizeof(amounts) / sizeof(*amounts) && !run_stopped(); i++)
			measure(run, child, amounts[i]);
	return run_end(run);
}
