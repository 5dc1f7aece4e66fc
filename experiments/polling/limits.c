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
#include "files.h"
#include "judge.h"
#include "language.h"
#include "machine.h"
#include "text.h"

enum { FOUND, AT_1024, RAISED, ABOVE, POLL };
enum { USUAL = 1024, NOBODY = 65534 };

static const struct variant variants[] = {
	[FOUND] = {"found", "opens until it is refused, with the limits as they are"},
	[AT_1024] = {"at-1024", "with a soft limit of 1024"},
	[RAISED] = {"raised", "with the soft limit raised from 1024 to the hard one"},
	[ABOVE] = {"above", "raises the hard limit, with and without privileges"},
	[POLL] = {"poll", "poll with a descriptor of 1024 or more"},
	{0}};

static const char table_length[] =
	"a descriptor is an index into the process's table, and RLIMIT_NOFILE is how long that may get.";

static const struct claim claims[] = {
	{"poll-fd-1024", "a process may open 1024 descriptors, and this can be raised",
	 "raised=at-1024", REFUTED, .why = {[HOLDS] = table_length, [DEPENDS] = table_length}},
	{0}};

static const struct row_field fields[] = {
	{"limit", "soft, when it opens", "soft|limit"},
	{"open_fds", "with those that were there already", "open"},
	{"highest_fd", "their highest number", "highest|number"},
	{"error", "of the call that was refused; ok: none was, --most were opened", "the next|one",
	 SHOW_TEXT, .text = true},
	{"errno", "the same as a number"},
	{"is_1024", "1: 1024 were opened, and no more"},
	{"is_more", "1: more than 1024 were opened"},
	{"soft_limit", "of this program, as found"},
	{"hard_limit", "of this program, as found"},
	{"off_limit", "1: not as many were opened as the limit says", .zero = true,
	 .sham = "forget"},
	{"root", "1: run as root; of above"},
	{"above_errno", "of one more than the hard limit; 0: allowed"},
	{"above_nr_open_errno", "of one more than fs.nr_open; -1: not tried"},
	{"unprivileged_errno",
	 "of one more than the hard limit, without privileges; -1: not tried"},
	{"nr_open", "fs.nr_open: what a hard limit may be at most"},
	{"file_max", "fs.file-max: of all processes together"},
	{"fd", "the high descriptor; less than 0: the error, negative; of poll"},
	{"ready", "1: poll said that it was ready, and it could be read"},
	{"fd_setsize", "FD_SETSIZE"},
	{"fd_set_bits", "of an fd_set"},
	{"unseen", "1: poll did not see a high descriptor that was ready", .zero = true,
	 .sham = "deaf"},
	{0}};

static const struct bound bounds[] = {
	{"enough_trials", 2, "a limit is a number: each trial opens as many as the last"}, {0}};

static int64_t most = 65536;

static const struct opt opts[] = {
	{'m', "most", "descriptors to open at most", .num = &most, .min = 2048, .max = 1000000},
	{0}};

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
static bool deaf; /* a sham: the high descriptor is not ready */

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
	int low = check_fd(eventfd(deaf ? 0 : 1, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd");
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
		run_record(run, (struct field[]){
					{"soft_limit", (int64_t)limit_now().rlim_cur},
					{"hard_limit", (int64_t)limit_now().rlim_max},
					{"limit", found->limit},
					{"open_fds", found->open},
					{"highest_fd", found->highest},
					{"errno", found->error},
					{"error", .text = text_errno((int)found->error)},
					{"is_1024", found->open == USUAL && found->error != 0},
					{"is_more", found->open > USUAL},
					{"off_limit", found->open - run_sham(run, "forget") !=
							      (found->error ? found->limit : most)},
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
						 {"unseen", found->number >= 0 && !found->ready},
						 {"fd_setsize", FD_SETSIZE},
						 {"fd_set_bits", 8 * (int64_t)sizeof(fd_set)},
						 {0}});
}

/* --- judge --------------------------------------------------------------- */

static void judge(struct run *run)
{
	int64_t enough = (int64_t)run_bound(run, "enough_trials");
	struct share here = run_nonzero(run, FOUND, "is_1024");
	struct share usual = run_nonzero(run, AT_1024, "is_1024");
	struct share raised = run_nonzero(run, RAISED, "is_more");

	run_judge(
		run, "poll-fd-1024",
		all_of(by_case(always_happens(here, enough), always_happens(usual, enough)),
		       always_happens(raised, enough)),
		"as found, {here} descriptors were open before the next was refused or {most} were; with a soft limit of {limit}, {usual}; raised in the process to the hard limit, {raised}; select's FD_SETSIZE stays {fd_setsize}",
		number_real("here", run_median(run, FOUND, "open_fds")), number_int("most", most),
		number_real("limit", run_median(run, AT_1024, "limit")),
		number_real("usual", run_median(run, AT_1024, "open_fds")),
		number_real("raised", run_median(run, RAISED, "open_fds")),
		number_int("fd_setsize", FD_SETSIZE));
}

/* How a call ended: its error's name, "ok", or "not tried". */
static const char *end_of(struct run *run, const char *field)
{
	int error = (int)run_median(run, ABOVE, field);

	return error < 0 ? translated("not tried") : text_errno(error);
}

static void draw(struct run *run)
{
	if (!run_selected(run, ABOVE))
		return;
	run_say(run,
		"One more than the hard limit: %s as this user%s, %s without privileges; one more than fs.nr_open (%s): %s. All processes together: fs.file-max, %s.",
		end_of(run, "above_errno"), run_median(run, ABOVE, "root") > 0 ? " (root)" : "",
		end_of(run, "unprivileged_errno"),
		text_count((int64_t)run_median(run, ABOVE, "nr_open")),
		end_of(run, "above_nr_open_errno"),
		text_count((int64_t)run_median(run, ABOVE, "file_max")));
	fputs("\n", run_out(run));
}

static const struct experiment about = {
	.name = "limits",
	.group = "polling",
	.order = 506,
	.summary = "How many descriptors may a process open?",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.variants = variants,
	.trials = 4,
	.quick_trials = 2,
	.judge = judge,
	.draw = draw,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	found = child_share(sizeof(*found));
	deaf = run_sham(run, "deaf");
	while (run_next(run)) {
		measure(run_variant(run));
		record(run, run_variant(run));
	}
	return run_end(run);
}
