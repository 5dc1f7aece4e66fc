/* SPDX-License-Identifier: MIT */
/*
 * unit - what does a thread have of its own, and what has it only as part of its process?
 *
 * A first thread starts a second one and waits for it.  The second one changes what a process has:
 * it opens a pipe, goes to another directory, lowers a limit, and uses CPU time.  It also changes
 * what the scheduler looks at: the CPUs that it may run on.  Then the first one looks what of that
 * has become its own: the process's resources, and nothing of what is scheduled.
 *
 * In the control the second one is a forked process, with a copy of everything: nothing that it
 * changes is seen.
 */
#include <err.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "check.h"
#include "child.h"
#include "exp.h"
#include "judge.h"
#include "span.h"
#include "thread.h"

enum { THREAD, PROCESS };

static const struct variant variants[] = {
	[THREAD] = {"thread", "the second one is a thread of the same process"},
	[PROCESS] = {"process", "the second one is a forked process (control)"},
	{0}};

static const struct claim claims[] = {
	{"thr-unit", "a thread is what is scheduled, a process what owns resources",
	 "thread=process", REFUTED,
	 .why = {[HOLDS] =
			 "the kernel schedules tasks. The tasks of a process refer to one table of descriptors, one current directory, one set of limits and one sum of CPU time; the state, the CPUs allowed and the time it has run are in each task itself. fork copies what threads refer to."}},
	{0}};

static const struct row_field fields[] = {
	{"shared_descriptor", "1: the first one could read from a pipe that the second one opened",
	 "pipe|shared", SHOW_NONZERO},
	{"shared_directory", "1: the first one was in the directory that the second one went to",
	 "directory|shared", SHOW_NONZERO},
	{"shared_limit", "1: the first one had the limit that the second one lowered",
	 "limit|shared", SHOW_NONZERO},
	{"shared_account",
	 "1: the second one's CPU time is in the sum of the first one's process, beside the first one's own",
	 "CPU time|added up", SHOW_NONZERO},
	{"own_time", "1: the first one's own CPU time grew by less than the second one used",
	 "own|CPU time", SHOW_NONZERO},
	{"own_cpus",
	 "1: the second one was on one CPU alone, the first one still allowed all; not with one CPU",
	 "own|CPUs", SHOW_NONZERO},
	{"own_state",
	 "1: the first one slept while the second one ran; of a thread, seen by the second one",
	 "own|state", SHOW_NONZERO},
	{"second_cpu_ns", "CPU time of the second one"},
	{"first_cpu_ns", "of the first one, meanwhile"},
	{"process_cpu_ns", "of the first one's process, meanwhile"},
	{"unchanged", "1: the second one did not see what it had changed itself", .zero = true,
	 .sham = "idle"},
	{"elapsed_ns", "of the trial"},
	{0}};

static const struct bound bounds[] = {
	{"enough_trials", 5, "a thing is shared always or never"},
	{"account_share", 0.5, "of the second one's CPU time: the sum has all of it or nothing"},
	{0}};

static const char there[] = "/";

/* In memory that a forked second one shares. */
struct visit {
	pid_t first; /* its thread's id */
	pthread_t first_thread;
	int64_t first_ns; /* its CPU time before: a thread's, or its process's */
	bool thread, idle;
	/* what the second one says */
	int pipe[2];
	rlim_t limit;
	int64_t cpu_ns;
	bool changed, first_slept, one_cpu;
};

static int cpus_of(pid_t tid)
{
	cpu_set_t cpus;

	check_fd(sched_getaffinity(tid, sizeof(cpus), &cpus), "sched_getaffinity");
	return CPU_COUNT(&cpus);
}

static bool is_there(void)
{
	char here[PATH_MAX];

	return getcwd(here, sizeof(here)) && strcmp(here, there) == 0;
}

static struct rlimit limit_now(void)
{
	struct rlimit files;

	check_fd(getrlimit(RLIMIT_NOFILE, &files), "getrlimit");
	return files;
}

/* --- the second one ------------------------------------------------------- */

/* The first one's clock of CPU time: as a thread, as the second one's is, or as a process. */
static clockid_t clock_of_first(const struct visit *visit)
{
	clockid_t clock;

	check(visit->thread ? pthread_getcpuclockid(visit->first_thread, &clock)
			    : clock_getcpuclockid(getppid(), &clock),
	      "the first one's clock");
	return clock;
}

/*
 * Computes until the first one has certainly used less CPU time, however long it took to start this one,
 * and until it is seen asleep: it only waits for this one, so it will be.
 */
static void compute(struct visit *visit)
{
	const clockid_t first = clock_of_first(visit);
	const int64_t begin_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	int64_t own_ns = 0;

	while ((own_ns < 4000000 || own_ns < 2 * (clock_ns(first) - visit->first_ns)) &&
	       !run_stopped())
		own_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - begin_ns;
	while (visit->thread && !visit->first_slept && !run_stopped())
		visit->first_slept =
			thread_state(visit->first) == 'S' && thread_state(gettid()) == 'R';
}

static void change_all(struct visit *visit)
{
	int64_t begin_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	struct rlimit files = limit_now();

	run_pin(0);
	visit->one_cpu = cpus_of(gettid()) == 1;
	compute(visit);
	check_fd(pipe(visit->pipe), "pipe");
	check_fd((int)write(visit->pipe[1], "", 1), "write");
	visit->limit = --files.rlim_cur;
	check_fd(setrlimit(RLIMIT_NOFILE, &files), "setrlimit");
	/* last: rows that were kept meanwhile, after a signal, would be kept in this directory */
	check_fd(chdir(there), "chdir");
	visit->changed = is_there() && limit_now().rlim_cur == visit->limit && visit->one_cpu;
	visit->cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - begin_ns;
}

static void second(void *argument)
{
	struct visit *visit = argument;

	if (!visit->idle)
		change_all(visit);
}

static void *second_thread(void *argument)
{
	second(argument);
	return NULL;
}

/* --- the first one -------------------------------------------------------- */

static void run_second(struct visit *visit)
{
	pthread_t thread;

	if (visit->thread) {
		check(pthread_create(&thread, NULL, second_thread, visit), "pthread_create");
		check(pthread_join(thread, NULL), "pthread_join");
	} else if (child_run(second, visit) != 0) {
		errx(EXIT_USAGE, "the forked process died");
	}
}

/* Whether the pipe is there, with its byte: where it is not, the number is nobody's. */
static bool reads_from(const struct visit *visit)
{
	char byte;

	if (visit->idle || read(visit->pipe[0], &byte, 1) != 1)
		return false;
	close(visit->pipe[0]);
	close(visit->pipe[1]);
	return true;
}

static void measure(struct run *run, struct visit *visit)
{
	int home = check_fd(open(".", O_PATH | O_DIRECTORY | O_CLOEXEC), "open");
	struct rlimit files = limit_now();
	int cpus = cpus_of(0), n = 0;
	int64_t begin_ns = span_now(), first_cpu_ns, process_cpu_ns;
	struct field row[16];
	bool was_there = is_there();

	*visit = (struct visit){.first = gettid(),
				.first_thread = pthread_self(),
				.thread = run_variant(run) == THREAD,
				.idle = run_sham(run, "idle")};
	first_cpu_ns = -clock_ns(CLOCK_THREAD_CPUTIME_ID);
	process_cpu_ns = -clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	visit->first_ns = -(visit->thread ? first_cpu_ns : process_cpu_ns);
	run_second(visit);
	first_cpu_ns += clock_ns(CLOCK_THREAD_CPUTIME_ID);
	process_cpu_ns += clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	if (!was_there) /* else there is nothing to see */
		row[n++] = (struct field){"shared_directory", is_there()};
	check_fd(fchdir(home), "fchdir");
	close(home);
	row[n++] = (struct field){"shared_descriptor", reads_from(visit)};
	row[n++] = (struct field){"shared_limit", limit_now().rlim_cur == visit->limit};
	check_fd(setrlimit(RLIMIT_NOFILE, &files), "setrlimit");
	row[n++] = (struct field){"shared_account",
				  (double)(process_cpu_ns - first_cpu_ns) >=
					  run_bound(run, "account_share") * (double)visit->cpu_ns};
	row[n++] = (struct field){"own_time", first_cpu_ns < visit->cpu_ns};
	if (cpus > 1)
		row[n++] = (struct field){"own_cpus", visit->one_cpu && cpus_of(0) == cpus};
	if (visit->thread)
		row[n++] = (struct field){"own_state", visit->first_slept};
	row[n++] = (struct field){"second_cpu_ns", visit->cpu_ns};
	row[n++] = (struct field){"first_cpu_ns", first_cpu_ns};
	row[n++] = (struct field){"process_cpu_ns", process_cpu_ns};
	row[n++] = (struct field){"unchanged", !visit->changed};
	row[n++] = (struct field){"elapsed_ns", span_now() - begin_ns};
	row[n] = (struct field){0};
	run_record(run, row);
}

/* --- judge --------------------------------------------------------------- */

/* In how many trials each of these fields was 1; names ends with NULL: all counted together. */
static struct share seen_in(struct run *run, size_t variant, const char *const names[])
{
	struct share all = {0};

	for (; *names; names++)
		all = share_add(all, run_nonzero(run, variant, *names));
	return all;
}

static void judge(struct run *run)
{
	static const char *const shared[] = {"shared_descriptor", "shared_directory",
					     "shared_limit", "shared_account", NULL};
	static const char *const own[] = {"own_time", "own_cpus", "own_state", NULL};
	int64_t enough = (int64_t)run_bound(run, "enough_trials");
	struct share resources = seen_in(run, THREAD, shared);
	struct share scheduling = seen_in(run, THREAD, own);
	struct share crossed = seen_in(run, PROCESS, shared);

	run_judge(
		run, "thr-unit",
		all_of(always_happens(resources, enough), always_happens(scheduling, enough),
		       never_happens(crossed, enough)),
		"a thread's descriptor, directory, limit and CPU time were the process's in {resources} looks, its own CPU time, CPUs allowed and state its own in {scheduling}; of a forked process {crossed} were shared; the thread used {second_ns} of CPU time, the one that waited for it {first_ns} meanwhile",
		number_share("resources", resources), number_share("scheduling", scheduling),
		number_share("crossed", crossed),
		number_real("second_ns", run_median(run, THREAD, "second_cpu_ns")),
		number_real("first_ns", run_median(run, THREAD, "first_cpu_ns")));
}

static const struct experiment about = {
	.name = "unit",
	.group = "race",
	.order = 107,
	.summary = "What does a thread have of its own, and what only as part of its process?",
	.intro = "A second one changes what it can; the first one looks what of that is its own.",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.variants = variants,
	.trials = 30,
	.quick_trials = 5,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);
	struct visit *visit = child_share(sizeof(*visit));

	while (run_next(run))
		measure(run, visit);
	return run_end(run);
}
