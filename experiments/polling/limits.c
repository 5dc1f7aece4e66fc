/* SPDX-License-Identifier: MIT */
/*
 * limits - how many descriptors may a process open?
 *
 * RLIMIT_NOFILE has two values: the soft limit is the one that counts, and a process may raise it
 * up to the hard one.  Descriptors are numbered from 0, so that the limit is the number that none
 * reaches.  Everything here happens in child processes; the program's own limits stay as found.
 *
 *	found, at-1024, raised  opens until it is refused: as found, with a soft limit of 1024, and
 *	                        with the soft limit raised to the hard one
 *	above                   raises the hard limit, too, with and without privileges
 *	poll                    a descriptor of 1024 or more in poll, which has no fixed size; that of
 *	                        select, FD_SETSIZE, was compiled in, and no limit changes it
 *
 * What happens to a program that is at its limit is in emfile.c.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <unistd.h>

#include "check.h"
#include "child.h"
#include "exp.h"
#include "old.h"
#include "files.h"
#include "machine.h"
#include "text.h"

enum { FOUND, AT_1024, RAISED, ABOVE, POLL, VARIANTS };
enum { USUAL = 1024, NOBODY = 65534 };

static const struct variant variants[] = {
	[FOUND] = {"found", "opens until it is refused, with the limits as they are"},
	[AT_1024] = {"at-1024", "with a soft limit of 1024"},
	[RAISED] = {"raised", "with the soft limit raised from 1024 to the hard one"},
	[ABOVE] = {"above", "raises the hard limit, with and without privileges"},
	[POLL] = {"poll", "poll with a descriptor of 1024 or more"},
	{0}};

static const struct claim claims[] = {
	{"poll-fd-1024", "a process may open 1024 descriptors, and this can be raised"}, {0}};

static int64_t most = 65536;

static const struct opt opts[] = {
	{'m', "most", "descriptors to open at most", .num = &most, .min = 2048, .max = 1000000},
	{0}};

static const struct experiment about = {
	.name = "limits",
	.group = "polling",
	.summary = "How many descriptors may a process open?",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.trials = 4,
	.quick_trials = 2,
};

/* What a child finds, in memory that it shares with its parent.  Errors are error numbers. */
struct found {
	int64_t limit;   /* soft, when it opened */
	int64_t open;    /* descriptors, with those that were there already */
	int64_t highest; /* their highest number */
	int64_t error;   /* of the call that was refused; 0: `most` were opened */

	int64_t above_error, nr_open_error, dropped_error; /* -1: not tried */

	int64_t number; /* the high descriptor's; less than 0: the error, negative */
	int64_t ready;  /* 1: poll said so, and it could be read */
};

static struct found *found;

static struct rlimit limit_now(void)
{
	struct rlimit limit;

	check_fd(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
	return limit;
}

static int set_limit(rlim_t soft, rlim_t hard)
{
	return setrlimit(RLIMIT_NOFILE, &(struct rlimit){soft, hard}) < 0 ? errno : 0;
}

/* --- in the child -------------------------------------------------------- */

/* Opens until it is refused, or `most` are open. */
static void fill(size_t variant)
{
	rlim_t hard = limit_now().rlim_max;
	int fd = check_fd(eventfd(0, EFD_CLOEXEC), "eventfd");

	if (variant != FOUND)
		check(set_limit(hard < USUAL ? hard : USUAL, hard), "setrlimit");
	if (variant == RAISED)
		files_allow(INT64_MAX);
	found->limit = (int64_t)limit_now().rlim_cur;
	for (int i = 0; i < found->limit && i < most; i++)
		found->open += fcntl(i, F_GETFD) >= 0;
	for (found->highest = fd; found->open < most; found->open++) {
		int next = dup(fd); /* takes the lowest number that is free */

		if (next < 0) {
			found->error = errno;
			break;
		}
		found->highest = next > found->highest ? next : found->highest;
	}
}

static void raise_above(void)
{
	struct rlimit before = limit_now();
	int64_t nr_open = machine_sysctl("fs/nr_open");

	found->nr_open_error = found->dropped_error = -1;
	found->above_error = set_limit(before.rlim_cur, before.rlim_max + 1);
	if (nr_open > 0)
		found->nr_open_error = set_limit(before.rlim_cur, (rlim_t)nr_open + 1);
	if (found->above_error == 0)
		check(set_limit(before.rlim_cur, before.rlim_max), "setrlimit");
	if (geteuid() != 0)
		found->dropped_error = found->above_error;
	else if (setresgid(NOBODY, NOBODY, NOBODY) == 0 && setresuid(NOBODY, NOBODY, NOBODY) == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* which the change of user has undone */
		found->dropped_error = set_limit(before.rlim_cur, before.rlim_max + 1);
	}
}

static void poll_high(void)
{
	int low = check_fd(eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd");
	struct pollfd polled = {.events = POLLIN};
	eventfd_t value = 0;

	files_allow(INT64_MAX);
	polled.fd = fcntl(low, F_DUPFD_CLOEXEC, FD_SETSIZE);
	found->number = polled.fd < 0 ? -errno : polled.fd;
	found->ready = polled.fd >= 0 && poll(&polled, 1, 0) == 1 && polled.revents == POLLIN &&
		       eventfd_read(polled.fd, &value) == 0 && value == 1;
}

static void try_variant(void *argument)
{
	size_t variant = *(const size_t *)argument;

	if (variant <= RAISED)
		fill(variant);
	else if (variant == ABOVE)
		raise_above();
	else
		poll_high();
}

/* --- trials -------------------------------------------------------------- */

/* In a process of its own, which its limits end with. */
static void measure(size_t variant)
{
	*found = (struct found){0};
	if (child_run(try_variant, &variant) != 0)
		errx(EXIT_USAGE, "%s: the child failed", variants[variant].name);
}

static void record(struct run *run, size_t variant)
{
	if (variant <= RAISED)
		run_record(run, (struct field[]){{"soft_limit", (int64_t)limit_now().rlim_cur},
						 {"hard_limit", (int64_t)limit_now().rlim_max},
						 {"limit", found->limit},
						 {"open_fds", found->open},
						 {"highest_fd", found->highest},
						 {"errno", found->error},
						 {"error", .text = text_errno((int)found->error)},
						 {0}});
	else if (variant == ABOVE)
		run_record(run, (struct field[]){{"root", geteuid() == 0},
						 {"above_errno", found->above_error},
						 {"above_nr_open_errno", found->nr_open_error},
						 {"unprivileged_errno", found->dropped_error},
						 {"nr_open", machine_sysctl("fs/nr_open")},
						 {"file_max", machine_sysctl("fs/file-max")},
						 {0}});
	else
		run_record(run, (struct field[]){{"fd", found->number},
						 {"ready", found->ready},
						 {"fd_setsize", FD_SETSIZE},
						 {"fd_set_bits", 8 * (int64_t)sizeof(fd_set)},
						 {0}});
}

/* --- report -------------------------------------------------------------- */

/* A variant's number, which is the same in each trial; -1 if it was not measured. */
static int64_t figure(struct run *run, size_t variant, const char *field)
{
	struct values values = run_values(run, variant, field);

	return values.n ? (int64_t)stats_quantile(values, 0.5) : -1;
}

/* How a call ended: its error's name, "ok", or -1: "not tried". */
static const char *end_of(struct run *run, size_t variant, const char *field)
{
	int64_t error = figure(run, variant, field);

	return error < 0 ? "not tried" : text_errno((int)error);
}

static void print_counts(struct run *run)
{
	FILE *out = run_out(run);

	fprintf(out, "  %-10s %11s %11s %12s %16s\n", "limit", "soft", "open", "highest",
		"the next one");
	for (size_t v = FOUND; v <= RAISED; v++)
		if (run_selected(run, v))
			fprintf(out, "  %-10s %11s %11s %12s %16s\n", variants[v].name,
				text_count(figure(run, v, "limit")),
				text_count(figure(run, v, "open_fds")),
				text_count(figure(run, v, "highest_fd")),
				figure(run, v, "errno") ? end_of(run, v, "errno") : "not tried");
	fputs("\n", out);
}

static void print_above(struct run *run)
{
	run_say(run,
		"One more than the hard limit: %s as this user%s, %s without privileges; one more "
		"than fs.nr_open (%s): %s. All processes together: fs.file-max, %s.",
		end_of(run, ABOVE, "above_errno"), figure(run, ABOVE, "root") == 1 ? " (root)" : "",
		end_of(run, ABOVE, "unprivileged_errno"), text_count(figure(run, ABOVE, "nr_open")),
		end_of(run, ABOVE, "above_nr_open_errno"),
		text_count(figure(run, ABOVE, "file_max")));
	fputs("\n", run_out(run));
}

static void print_poll(struct run *run)
{
	run_say(run,
		"poll saw descriptor %s. An fd_set has %s bits, compiled in: no limit changes it.",
		text_count(figure(run, POLL, "fd")), text_count(figure(run, POLL, "fd_set_bits")));
	fputs("\n", run_out(run));
}

static void control(struct run *run)
{
	for (size_t v = FOUND; v <= RAISED; v++)
		if (run_selected(run, v))
			old_control(
				run,
				figure(run, v, "open_fds") ==
					(figure(run, v, "errno") ? figure(run, v, "limit") : most),
				"%s: not as many could be opened as the limit says",
				variants[v].name);
	if (run_selected(run, POLL))
		old_control(run, figure(run, POLL, "fd") < 0 || figure(run, POLL, "ready") == 1,
			    "poll did not see a descriptor of %s",
			    text_count(figure(run, POLL, "fd")));
}

static void judge(struct run *run)
{
	int64_t here = figure(run, FOUND, "open_fds");
	int64_t usual = figure(run, AT_1024, "open_fds");
	int64_t raised = figure(run, RAISED, "open_fds");

	if (here < 0 || usual < 0 || raised < 0)
		return;
	old_verdict(
		run, "poll-fd-1024", here == USUAL && raised > usual ? HOLDS : DEPENDS,
		(struct field[]){{"soft_limit", figure(run, FOUND, "soft_limit")},
				 {"hard_limit", figure(run, FOUND, "hard_limit")},
				 {"open_fds", here},
				 {"open_at_1024_fds", usual},
				 {"open_raised_fds", raised},
				 {0}},
		"as found, %s are open %s; with a soft limit of %s, %s are. Raised in the "
		"process to the hard limit: %s%s; select's FD_SETSIZE stays %d",
		text_count(here),
		figure(run, FOUND, "errno") ? "when the next one is refused" : "and more could be",
		text_count(figure(run, AT_1024, "limit")), text_count(usual), text_count(raised),
		figure(run, RAISED, "errno") ? "" : " and no end", FD_SETSIZE);
}

static void report(struct run *run)
{
	if (run_selected(run, FOUND) || run_selected(run, AT_1024) || run_selected(run, RAISED))
		print_counts(run);
	if (run_selected(run, ABOVE))
		print_above(run);
	if (figure(run, POLL, "fd") >= FD_SETSIZE)
		print_poll(run);
	control(run);
	judge(run);
	old_why(run, "a descriptor is an index into the process's table, and RLIMIT_NOFILE is how "
		     "long that may get.");
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	found = child_share(sizeof(*found));
	while (run_next(run)) {
		measure(run_variant(run));
		record(run, run_variant(run));
	}
	return old_end(run, report);
}
