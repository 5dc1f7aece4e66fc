/* SPDX-License-Identifier: MIT */
/*
 * threads_go_on - whom does a blocking call stop?
 *
 * On each CPU a thread counts.  On the first of these CPUs there is one thread more, which blocks
 * in recv, accept, clock_nanosleep or a futex; or it spins, which shows what a thread that does
 * not block takes from the others; or there is none (control: what is left is noise).  How far do
 * the others get, times as far as in a window next to it without that thread?  Its state is read
 * from /proc, and the CPU time that it was given from its clock.
 *
 * What waits behind a blocking call in the same thread is in loop.c.
 */
#include <err.h>
#include <errno.h>
#include <linux/futex.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "net.h"
#include "span.h"
#include "team.h"
#include "thread.h"

enum { NOBODY, SPINS, RECV, ACCEPT, SLEEP, FUTEX, VARIANTS };
enum { CACHE_LINE = 64, MS = 1000000 };

static const struct variant variants[] = {
	[NOBODY] = {"nobody", "no thread but those that count (control)"},
	[SPINS] = {"spins", "a thread that does not block, for comparison"},
	[RECV] = {"recv", "a thread blocks in recv"},
	[ACCEPT] = {"accept", "in accept"},
	[SLEEP] = {"sleep", "in clock_nanosleep"},
	[FUTEX] = {"futex", "in a futex wait, as of a mutex"},
	{0}};

static const struct claim claims[] = {
	{"poll-blocking-thread", "a blocking call stops only its thread; other threads go on",
	 "recv=spins,accept=spins,sleep=spins,futex=spins", REFUTED,
	 .why = {[HOLDS] =
			 "the kernel schedules threads: one that waits gives its CPU to others until it is woken."}},
	{0}};

static const struct control controls[] = {
	{"nobody-slows", "without that thread both windows are alike", "nobody=spins"},
	{"spinning-slows", "a thread that spins takes from the one that counts on its CPU",
	 "spins=nobody"},
	{0}};

static const struct row_field fields[] = {
	{"counts", "of all threads that count, together", "all|together", SHOW_MEDIAN,
	 "alone_counts"},
	{"same_cpu_counts", "of the one that counts on the CPU of the thread in the call",
	 "on the same CPU", SHOW_INTERVAL, "alone_same_cpu_counts"},
	{"asleep_looks", "of the looks: the thread in the call was asleep (S)", "asleep", SHOW_SUM,
	 "looks"},
	{"blocked_cpu_ns", "CPU time of that thread meanwhile", "CPU", SHOW_SUM, "elapsed_ns"},
	{"looks", "at that thread's state in /proc"},
	{"elapsed_ns", "of all threads that count: from the first begin to the last end"},
	{"same_cpu_ns", "the same of the one on that CPU"},
	{"alone_counts", "as counts, in a window without that thread just before or after"},
	{"alone_elapsed_ns", "as elapsed_ns, in that window"},
	{"alone_same_cpu_counts", "as same_cpu_counts, in that window"},
	{"alone_same_cpu_ns", "as same_cpu_ns, in that window"},
	{"returned_early", "1: the call returned before the window was over", .zero = true,
	 .sham = "shutdown"},
	{"error", "the call's error number", .zero = true, .sham = "shutdown"},
	{0}};

static const struct bound bounds[] = {
	{"blocked_share", 0.9, "of the looks: one at a time just before the sleep may see it run"},
	{"blocked_cpu_share", 0.05, "of a CPU: what is blocked has next to none"},
	{"go_on_times", 0.8,
	 "times as far as alone: one that spins on the same CPU halves it, noise is 5 %"},
	{0}};

static int64_t window_ms = 20;

static const struct opt opts[] = {{'w', "window", "how long the threads count", .num = &window_ms,
				   .min = 2, .quick = 10, .max = 200, .unit = OPT_MS},
				  {0}};

/* --- the thread that blocks ---------------------------------------------- */

struct blocker {
	size_t variant;
	pthread_t thread;
	atomic_int tid;
	atomic_bool returned, may_end; /* from its call; from its thread */
	struct net_pair fd;            /* of RECV; of ACCEPT rx listens and tx is the client */
	struct sockaddr_in where;      /* where it listens */
	atomic_uint word;              /* 0: FUTEX waits for it to change, SPINS until it has */
	int64_t end_ns;                /* when its call had returned */
	int64_t error;
};

/* The call under test, until wake(). */
static int64_t block(struct blocker *b)
{
	struct timespec longer = {.tv_sec = 10};
	char byte;
	ssize_t n;
	int fd;

	switch (b->variant) {
	case RECV:
		n = recv(b->fd.rx, &byte, 1, 0);
		return n > 0 ? 0 : n < 0 ? errno : EPIPE;
	case ACCEPT:
		fd = accept4(b->fd.rx, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			return errno;
		close(fd);
		return 0;
	case SLEEP:
		return clock_nanosleep(CLOCK_MONOTONIC, 0, &longer, NULL) == EINTR ? 0 : ETIMEDOUT;
	case FUTEX:
		while (atomic_load(&b->word) == 0)
			syscall(SYS_futex, &b->word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
		return 0;
	default:
		while (atomic_load_explicit(&b->word, memory_order_relaxed) == 0)
			;
		return 0;
	}
}

static void wake(struct blocker *b)
{
	switch (b->variant) {
	case RECV:
		if (send(b->fd.tx, "", 1, 0) != 1)
			err(EXIT_USAGE, "send");
		break;
	case ACCEPT:
		if (b->fd.tx < 0)
			b->fd.tx = net_connect(&b->where);
		break;
	case SLEEP:
		check(pthread_kill(b->thread, SIGUSR1), "pthread_kill");
		break;
	default:
		atomic_store(&b->word, 1);
		syscall(SYS_futex, &b->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
		break;
	}
}

/* Its arrival alone ends a sleep. */
static void on_signal(int number)
{
	(void)number;
}

static void *blocking_thread(void *argument)
{
	struct blocker *b = argument;

	run_pin(0);
	atomic_store(&b->tid, gettid());
	b->error = block(b);
	b->end_ns = span_now();
	atomic_store(&b->returned, true);
	while (!atomic_load(&b->may_end)) /* its CPU time is read meanwhile */
		run_sleep_until(span_now() + MS / 10);
	return NULL;
}

/* Starts it and waits until it blocks (or spins). */
static void begin_blocking(struct blocker *b, size_t variant)
{
	*b = (struct blocker){.variant = variant, .fd = {-1, -1}};
	if (variant == RECV)
		b->fd = net_pair(NET_TCP, (struct net_ask){0});
	if (variant == ACCEPT)
		b->fd.rx = net_listen(1, &b->where);
	check(pthread_create(&b->thread, NULL, blocking_thread, b), "pthread_create");
	while (atomic_load(&b->tid) == 0)
		run_sleep_until(span_now() + MS / 20);
	if (variant != SPINS)
		thread_await_sleep(&b->tid, &b->returned);
}

/* More than once, for a signal may come before the sleep. */
static void end_blocking(struct blocker *b)
{
	while (!atomic_load(&b->returned)) {
		wake(b);
		run_sleep_until(span_now() + MS / 10);
	}
	atomic_store(&b->may_end, true);
	check(pthread_join(b->thread, NULL), "pthread_join");
	net_close(&b->fd);
}

/* --- those that count, one on each CPU ----------------------------------- */

/* The window begins when all of them run: to start a thread can take longer than that on a slow machine. */
struct counters {
	atomic_int ready;
	_Atomic int64_t deadline_ns; /* 0 = not yet */
	struct counter {
		alignas(CACHE_LINE) _Atomic int64_t n;
	} each[TEAM_MAX];
};

static void count(int member, void *argument)
{
	struct counters *c = argument;
	_Atomic int64_t *n = &c->each[member].n;
	int64_t deadline_ns;

	atomic_fetch_add(&c->ready, 1);
	while ((deadline_ns = atomic_load(&c->deadline_ns)) == 0)
		;
	do
		for (int i = 0; i < 1000; i++)
			atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + 1,
					      memory_order_relaxed);
	while (span_now() < deadline_ns && !run_stopped());
}

/* What was seen in one window. */
struct window {
	int64_t deadline_ns;
	int64_t counts, elapsed_ns;    /* of all that count */
	int64_t same_counts, same_ns;  /* of the one on the first CPU */
	int64_t looks, asleep, cpu_ns; /* of the thread that was looked at */
};

/* Lets them count, and looks at a thread meanwhile. */
static struct window count_beside(pthread_t thread, int tid)
{
	struct counters c = {0};
	struct window w = {0};
	int threads = run_cpus() < TEAM_MAX ? run_cpus() : TEAM_MAX;
	int64_t begin_ns;
	clockid_t clock;
	struct team team;
	struct span all;

	check(pthread_getcpuclockid(thread, &clock), "pthread_getcpuclockid");
	team_start(&team, threads, TEAM_SPREAD, count, &c);
	while (atomic_load(&c.ready) < threads)
		run_sleep_until(span_now() + MS / 20);
	w.cpu_ns = -clock_ns(clock);
	begin_ns = span_now();
	w.deadline_ns = begin_ns + window_ms * MS;
	atomic_store(&c.deadline_ns, w.deadline_ns);
	while (run_sleep_until(span_now() + MS) && span_now() < w.deadline_ns) {
		w.looks++;
		w.asleep += thread_state(tid) == 'S';
	}
	w.cpu_ns += clock_ns(clock);
	all = team_join(&team);
	for (int i = 0; i < threads; i++)
		w.counts += atomic_load(&c.each[i].n);
	w.elapsed_ns = all.end_ns - begin_ns;
	w.same_counts = atomic_load(&c.each[0].n);
	w.same_ns = team.members[0].span.end_ns - begin_ns;
	return w;
}

/* Without that thread; this one is looked at instead, so that the disturbance is the same. */
static struct window count_alone(void)
{
	struct window w = count_beside(pthread_self(), gettid());

	w.looks = w.asleep = w.cpu_ns = 0;
	return w;
}

static struct window count_with(struct blocker *b, size_t variant, bool shuts_down)
{
	struct window w;

	begin_blocking(b, variant);
	if (shuts_down) /* a sham */
		shutdown(b->fd.rx, SHUT_RDWR);
	w = count_beside(b->thread, atomic_load(&b->tid));
	end_blocking(b);
	return w;
}

/* A window with that thread and one without, next to each other, so that noise meets both. */
static void measure(struct run *run)
{
	const size_t variant = run_variant(run);
	const bool alone_first = run_trial(run) % 2 == 0;
	struct blocker b = {0};
	struct window alone = {0};
	struct window with;

	if (alone_first)
		alone = count_alone();
	with = variant == NOBODY ? count_alone()
				 : count_with(&b, variant, run_sham(run, "shutdown"));
	if (!alone_first)
		alone = count_alone();
	run_record(run, (struct field[]){
				{"counts", with.counts},
				{"elapsed_ns", with.elapsed_ns},
				{"alone_counts", alone.counts},
				{"alone_elapsed_ns", alone.elapsed_ns},
				{"same_cpu_counts", with.same_counts},
				{"same_cpu_ns", with.same_ns},
				{"alone_same_cpu_counts", alone.same_counts},
				{"alone_same_cpu_ns", alone.same_ns},
				{"looks", with.looks},
				{"asleep_looks", with.asleep},
				{"blocked_cpu_ns", with.cpu_ns},
				{"returned_early", variant > SPINS && b.end_ns < with.deadline_ns},
				{"error", b.error},
				{0}});
}

/* --- judge --------------------------------------------------------------- */

/* How far those that count got, times as far as alone. */
static struct interval all_times(struct run *run, size_t v)
{
	return run_ratio(run, run_values(run, v, "counts"), run_values(run, v, "alone_counts"));
}

static struct interval same_cpu_times(struct run *run, size_t v)
{
	return run_ratio(run, run_values(run, v, "same_cpu_counts"),
			 run_values(run, v, "alone_same_cpu_counts"));
}

static struct interval cpu_share(struct run *run, size_t v)
{
	return run_ratio(run, run_values(run, v, "blocked_cpu_ns"),
			 run_values(run, v, "elapsed_ns"));
}

/* Whether the call stops its thread, and no other. */
static enum verdict stops_one(struct run *run, size_t v)
{
	double go_on = run_bound(run, "go_on_times");

	return all_of(share_above(run_part(run, v, "asleep_looks", "looks"),
				  run_bound(run, "blocked_share")),
		      is_below(cpu_share(run, v), run_bound(run, "blocked_cpu_share")),
		      is_above(all_times(run, v), go_on), is_above(same_cpu_times(run, v), go_on));
}

static void judge(struct run *run)
{
	double go_on = run_bound(run, "go_on_times");
	struct interval nobody = same_cpu_times(run, NOBODY), spins = same_cpu_times(run, SPINS);
	struct share asleep = {0};
	double least = NAN, most = NAN; /* of the calls' medians, on the same CPU */

	for (size_t v = RECV; v <= FUTEX; v++) {
		asleep = share_add(asleep, run_part(run, v, "asleep_looks", "looks"));
		least = fmin(least, same_cpu_times(run, v).mid);
		most = fmax(most, same_cpu_times(run, v).mid);
	}
	run_judge(
		run, "poll-blocking-thread",
		all_of(stops_one(run, RECV), stops_one(run, ACCEPT), stops_one(run, SLEEP),
		       stops_one(run, FUTEX)),
		"with a thread blocked the one that counts on its CPU got {least_times} to {most_times} times as far (the median of each call), with one that spins {spins_times}; the blocked one was asleep in {asleep} looks and had {cpu_share} of a CPU in recv",
		number_real("least_times", least), number_real("most_times", most),
		number_interval("spins_times", spins), number_share("asleep", asleep),
		number_real("cpu_share", cpu_share(run, RECV).mid));
	run_check(run, "nobody-slows", is_above(nobody, go_on), "{nobody_times} times as far",
		  number_interval("nobody_times", nobody));
	run_check(run, "spinning-slows", is_below(spins, go_on), "{spins_times} times as far",
		  number_interval("spins_times", spins));
}

static const struct experiment about = {
	.name = "threads_go_on",
	.group = "polling",
	.order = 511,
	.summary = "Whom does a blocking call stop: its thread, or the program?",
	.intro =
		"A thread counts on each CPU ({cpus}) for {window_ms}. Another one, on the first CPU, is in the call named. How far those that count get, as a share of how far without it just before or after.",
	.claims = claims,
	.controls = controls,
	.opts = opts,
	.variants = variants,
	.fields = fields,
	.bounds = bounds,
	.trials = 7,
	.quick_trials = 9,
	.timed = true,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);
	const struct sigaction action = {.sa_handler = on_signal};

	check_fd(sigaction(SIGUSR1, &action, NULL), "sigaction");
	while (run_next(run))
		measure(run);
	return run_end(run);
}
