/* SPDX-License-Identifier: MIT */
/*
 * fdset - select with a descriptor that does not fit into its set.
 *
 * An fd_set is an array of FD_SETSIZE = 1,024 bits, whatever the limit of descriptors is.  With a
 * higher one FD_SET writes behind the array, and so does the kernel, which believes select's first
 * argument.  All of it happens in forked children, so that it is observed and not suffered:
 *
 *	fits      the highest descriptor that fits (control)
 *	beyond    with a neighbour behind the set in the same struct: what is overwritten?
 *	guard     with the set at the end of the memory: a crash
 *	fortify   FD_SET as _FORTIFY_SOURCE compiles it: glibc ends the program
 *	poll      whose array has no fixed size (cure)
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "child.h"
#include "exp.h"
#include "files.h"
#include "judge.h"
#include "language.h"
#include "span.h"

enum { FITS, BEYOND, GUARD, FORTIFY, POLL };
enum {
	LAST = FD_SETSIZE - 1,
	HIGH = FD_SETSIZE + 63,
	ENOUGH = HIGH + 1
}; /* the 64th of those that do not fit */

static const struct variant variants[] = {
	[FITS] = {"fits", "select of the highest descriptor that fits (control)"},
	[BEYOND] = {"beyond", "select of a higher one; behind the set lies a neighbour (trap)"},
	[GUARD] = {"guard", "FD_SET of it in a set at the end of the memory (trap)"},
	[FORTIFY] = {"fortify", "FD_SET of it as _FORTIFY_SOURCE compiles it"},
	[POLL] = {"poll", "poll of it (cure)"},
	{0}};

static const struct claim claims[] = {
	{"poll-select-1024", "select with a descriptor of 1024 or more overwrites memory",
	 "beyond=fits", NOT_SEEN,
	 .why = {[HOLDS] =
			 "an fd_set has room for 1,024 bits, and neither FD_SET nor the kernel, which goes by select's first argument, checks that. The size is compiled in: no limit changes it. poll is told how long its array is."}},
	{0}};

static const struct row_field fields[] = {
	{"descriptor", "that is looked at", "descriptor"},
	{"fd_set_bytes", "behind the set, overwritten by FD_SET", "overwritten|by FD_SET"},
	{"select_bytes",
	 "behind the set, overwritten by select; of poll: behind its array, by poll",
	 "by|the call"},
	{"ready", "1: said to be ready, and was", "said|ready", SHOW_NONZERO},
	{"end", "how the child ended", "end", SHOW_TEXT, .text = true},
	{"overwritten", "1: anything behind the set"},
	{"signal", "that the child died of; 0: none"},
	{"refused_errno", "why there is no such descriptor or function; 0: there is"},
	{"elapsed_ns", "of the child"},
	{"control_wrong", "1: fits or poll did not see its descriptor, or overwrote something",
	 .zero = true, .sham = "fits=beyond,poll=guard"},
	{0}};

/* What a child finds, in memory that it shares with its parent. */
struct found {
	int64_t refused; /* why there is no such descriptor, or no such function: an error number */
	int64_t set_bytes;    /* behind the set, overwritten by FD_SET */
	int64_t select_bytes; /* behind the set, overwritten by select (poll: by poll) */
	int64_t ready;        /* 1: the descriptor was said to be ready, and was */
};

static struct found *found;

/* A set with a neighbour, which has one bit for each of the descriptors that do not fit. */
struct crowded {
	fd_set set;
	fd_mask behind[64 / NFDBITS];
};

/* What glibc calls where a program was compiled with _FORTIFY_SOURCE; other C libraries lack it. */
extern long __fdelt_chk(long fd) __attribute__((weak));

/*
 * FD_SET without _FORTIFY_SOURCE, whatever this file is compiled with.  Not inlined, so that no
 * compiler can tell that the descriptor is beyond the set.
 */
__attribute__((noinline)) static void plain_fd_set(int fd, fd_mask *bits)
{
	bits[fd / NFDBITS] |= (fd_mask)(1UL << (fd % NFDBITS));
}

static int64_t bytes_other_than(const void *memory, size_t length, int value)
{
	const unsigned char *bytes = memory;
	int64_t n = 0;

	for (size_t i = 0; i < length; i++)
		n += bytes[i] != value;
	return n;
}

/*
 * Opens FD_SETSIZE and all up to `fd`, or only that one: the last can be read, the others cannot.
 */
static bool open_up_to(int fd)
{
	int quiet = check_fd(eventfd(0, EFD_CLOEXEC), "eventfd");
	int ready = check_fd(eventfd(1, EFD_CLOEXEC), "eventfd");

	files_allow(ENOUGH);
	if (dup2(ready, fd) < 0) {
		found->refused = errno;
		return false;
	}
	for (int i = FD_SETSIZE; i < fd; i++)
		check_fd(dup2(quiet, i), "dup2");
	return true;
}

static void try_select(int fd)
{
	struct crowded crowded = {0};
	struct timeval at_once = {0};
	fd_mask *bits = (fd_mask *)&crowded;
	uint64_t count = 0;

	plain_fd_set(fd, bits);
	found->set_bytes = bytes_other_than(crowded.behind, sizeof(crowded.behind), 0);
	memset(crowded.behind, 0xff, sizeof(crowded.behind)); /* -1, say */
	found->ready = select(fd + 1, &crowded.set, NULL, NULL, &at_once) == 1 &&
		       (bits[fd / NFDBITS] & (fd_mask)(1UL << (fd % NFDBITS))) != 0 &&
		       read(fd, &count, sizeof(count)) == sizeof(count) && count == 1;
	found->select_bytes = bytes_other_than(crowded.behind, sizeof(crowded.behind), 0xff);
}

/* The set lies at the end of the memory; returns only if nothing was written behind it. */
static void try_guard(int fd)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *memory =
		mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED || mprotect(memory + page, page, PROT_NONE) != 0)
		err(EXIT_USAGE, "mmap");
	plain_fd_set(fd, (fd_mask *)(void *)(memory + page - sizeof(fd_set)));
}

static void try_fortify(int fd)
{
	if (__fdelt_chk)
		__fdelt_chk(fd);
	else
		found->refused = ENOSYS;
}

static void try_poll(int fd)
{
	struct {
		struct pollfd fds[2];
		unsigned char behind[8];
	} crowded = {.fds = {{FD_SETSIZE, POLLIN, 0}, {fd, POLLIN, 0}}};
	uint64_t count = 0;

	memset(crowded.behind, 0xff, sizeof(crowded.behind));
	found->ready = poll(crowded.fds, 2, 0) == 1 && crowded.fds[1].revents == POLLIN &&
		       read(fd, &count, sizeof(count)) == sizeof(count) && count == 1;
	found->select_bytes = bytes_other_than(crowded.behind, sizeof(crowded.behind), 0xff);
}

/* In the child, whose death is expected: no message, no core file, no sanitizer's report. */
static void try_variant(void *argument)
{
	size_t variant = *(const size_t *)argument;
	volatile int fd = variant == FITS ? LAST : HIGH; /* so that no compiler knows */
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	check_fd(setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}), "setrlimit");
	prctl(PR_SET_DUMPABLE,
	      0); /* where cores are piped to a program, that limit does not count */
	signal(SIGSEGV, SIG_DFL);
	signal(SIGABRT, SIG_DFL);
	if (!open_up_to(fd))
		return;
	dup2(null, STDERR_FILENO);
	switch (variant) {
	case GUARD:
		try_guard(fd);
		break;
	case FORTIFY:
		try_fortify(fd);
		break;
	case POLL:
		try_poll(fd);
		break;
	default:
		try_select(fd);
		break;
	}
}

static const char *end_of(int status)
{
	int number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;

	if (number)
		return number == SIGSEGV ? "SIGSEGV" : "SIGABRT";
	if (found->refused)
		return found->refused == ENOSYS ? MESSAGE("glibc only") : MESSAGE("limit too low");
	return found->ready ? MESSAGE("says ready") : MESSAGE("not ready");
}

static void measure(struct run *run, size_t variant, size_t label)
{
	int64_t begin_ns = span_now();
	bool overwritten, is_control = label == FITS || label == POLL;
	int status;

	*found = (struct found){0};
	status = child_run(try_variant, &variant);
	if (WIFSIGNALED(status) ? WTERMSIG(status) != SIGSEGV && WTERMSIG(status) != SIGABRT
				: WEXITSTATUS(status) != 0)
		errx(EXIT_USAGE, "%s: the forked process failed", variants[variant].name);
	overwritten = found->set_bytes > 0 || found->select_bytes > 0;
	run_record(run, (struct field[]){{"descriptor", variant == FITS ? LAST : HIGH},
					 {"refused_errno", found->refused},
					 {"fd_set_bytes", found->set_bytes},
					 {"select_bytes", found->select_bytes},
					 {"ready", found->ready},
					 {"signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0},
					 {"elapsed_ns", span_now() - begin_ns},
					 {"end", .text = end_of(status)},
					 {"overwritten", overwritten},
					 {"control_wrong", is_control && !found->refused &&
								   (!found->ready || overwritten)},
					 {0}});
}

/* --- judge --------------------------------------------------------------- */

static void judge(struct run *run)
{
	struct share refused = run_nonzero(run, BEYOND, "refused_errno");
	struct share overwritten = run_nonzero(run, BEYOND, "overwritten");

	run_judge(
		run, "poll-select-1024", refused.k ? SKIPPED : can_happen(overwritten),
		refused.k
			? MESSAGE("this process may not open a descriptor of {descriptor}")
			: MESSAGE("descriptor {descriptor}: memory behind the set was overwritten in {overwritten} trials, {set_bytes} by FD_SET and {select_bytes} by select, and the answer was right in {right}"),
		number_int("descriptor", HIGH), number_share("overwritten", overwritten),
		number_real("set_bytes", run_median(run, BEYOND, "fd_set_bytes")),
		number_real("select_bytes", run_median(run, BEYOND, "select_bytes")),
		number_share("right", run_nonzero(run, BEYOND, "ready")));
}

static const struct experiment about = {
	.name = "fdset",
	.group = "polling",
	.order = 509,
	.summary = "What does select do with a descriptor of 1024 or more?",
	.intro =
		"In a child process, with 8 bytes behind the set (of poll: behind its array): how many are overwritten?",
	.claims = claims,
	.fields = fields,
	.variants = variants,
	.trials = 20,
	.quick_trials = 3,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	found = child_share(sizeof(*found));
	while (run_next(run))
		measure(run, run_variant(run), run_label(run));
	return run_end(run);
}
