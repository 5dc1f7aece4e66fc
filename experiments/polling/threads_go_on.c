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
#include "old.h"
#include "net.h"
#include "span.h"
#include "team.h"
#include "text.h"
#include "thread.h"

enum { NOBODY, SPINS, RECV, ACCEPT, SLEEP, FUTEX, VARIANTS };
enum { PAIRS = 3, CACHE_LINE = 64, MS = 1000000 };

static const struct variant variants[] = {
	[NOBODY] = {"nobody", "no thread but those that count (control)"},
	[SPINS] = {"spins", "a thread that does not block, for comparison"},
	[RECV] = {"recv", "a thread blocks in recv"},
	[ACCEPT] = {"accept", "in accept"},
	[SLEEP] = {"sleep", "in clock_nanosleep"},
	[FUTEX] = {"futex", "in a futex wait, as of a mutex"},
	{0}};

static const struct claim claims[] = {
	{"poll-blocking-thread", "a blocking call stops only its thread; other threads go on"},
	{0}};

static int64_t window_ms = 6;

static const struct opt opts[] = {{'w', "window", "how long the threads count", .num = &window_ms,
				   .min = 2, .quick = 4, .max = 200, .unit = OPT_MS},
				  {0}};

static const struct experiment about = {
	.name = "threads_go_on",
	.group = "polling",
	.summary = "Whom does a blocking call stop: its thread, or the program?",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.trials = 5,
	.quick_trials = 2,
};

/* --- the thread that blocks ---------------------------------------------- */

struct blocker {
	size_t variant;
	pthread_t thread;
	atomic_int tid;
	struct net_pair fd;       /* of RECV; of ACCEPT rx listens and tx is the client */
	struct sockaddr_in where; /* where it listens */
	atomic_uint word;         /* 0: FUTEX waits for it to change, SPINS until it has */
	int64_t end_ns;           /* when its call had returned */
	int64_t error;
};

/* The call under test, until wake(). */
static int64_t block(struct blocker *b)
{
	struct timespec longer = {.tv_sec = 10};
	char byte;
	int fd;

	switch (b->variant) {
	case RECV:
		return recv(b->fd.rx, &byte, 1, 0) == 1 ? 0 : errno;
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
	return NULL;
}

/* Starts it and waits until it blocks (or spins). */
static void begin_blocking(struct blocker *b, size_t variant)
{
	int64_t patience_ns = span_now() + 1000 * (int64_t)MS;

	*b = (struct blocker){.variant = variant, .fd = {-1, -1}};
	if (variant == RECV)
		b->fd = net_pair(NET_TCP, (struct net_ask){0});
	if (variant == ACCEPT)
		b->fd.rx = net_listen(1, &b->where);
	check(pthread_create(&b->thread, NULL, blocking_thread, b), "pthread_create");
	while (atomic_load(&b->tid) == 0 ||
	       (variant != SPINS && thread_state(atomic_load(&b->tid)) != 'S'))
		if (span_now() > patience_ns || !run_sleep_until(span_now() + MS / 20))
			return;
}

/* More than once, for a signal may come before the sleep. */
static void end_blocking(struct blocker *b)
{
	while (pthread_tryjoin_np(b->thread, NULL) == EBUSY) {
		wake(b);
		run_sleep_until(span_now() + MS / 10);
	}
	net_close(&b->fd);
}

/* --- those that count, one on each CPU ----------------------------------- */

struct counters {
	int64_t deadline_ns;
	struct counter {
		alignas(CACHE_LINE) _Atomic int64_t n;
	} each[TEAM_MAX];
};

static void count(int member, void *argument)
{
	struct counters *c = argument;
	_Atomic int64_t *n = &c->each[member].n;

	while (span_now() < c->deadline_ns && !run_stopped())
		for (int i = 0; i < 1000; i++)
			atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + 1,
					      memory_order_relaxed);
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
	clockid_t clock;
	struct team team;
	struct span all;

	check(pthread_getcpuclockid(thread, &clock), "pthread_getcpuclockid");
	w.cpu_ns = -clock_ns(clock);
	w.deadline_ns = c.deadline_ns = span_now() + window_ms * MS;
	team_start(&team, threads, TEAM_SPREAD, count, &c);
	while (run_sleep_until(span_now() + MS) && span_now() < c.deadline_ns) {
		w.looks++;
		w.asleep += thread_state(tid) == 'S';
	}
	w.cpu_ns += clock_ns(clock);
	all = team_join(&team);
	for (int i = 0; i < threads; i++)
		w.counts += atomic_load(&c.each[i].n);
	w.elapsed_ns = span_wall(&all);
	w.same_counts = atomic_load(&c.each[0].n);
	w.same_ns = span_wall(&team.members[0].span);
	return w;
}

/* Without that thread; this one is looked at instead, so that the disturbance is the same. */
static struct window count_alone(void)
{
	struct window w = count_beside(pthread_self(), gettid());

	w.looks = w.asleep = w.cpu_ns = 0;
	return w;
}

static struct window count_with(struct blocker *b, size_t variant)
{
	struct window w;

	begin_blocking(b, variant);
	w = count_beside(b->thread, atomic_load(&b->tid));
	end_blocking(b);
	return w;
}

/* A window with that thread and one without, next to each other, so that noise meets both. */
static void measure_pair(struct run *run, size_t variant, bool alone_first)
{
	struct blocker b = {0};
	struct window alone = {0};
	struct window with;

	if (alone_first)
		alone = count_alone();
	with = variant == NOBODY ? count_alone() : count_with(&b, variant);
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

/* --- report -------------------------------------------------------------- */

/* What tells how far threads got in both windows of a pair. */
struct progress {
	const char *counts, *ns, *alone_counts, *alone_ns;
};

static const struct progress all_together = {"counts", "elapsed_ns", "alone_counts",
					     "alone_elapsed_ns"};
static const struct progress on_same_cpu = {"same_cpu_counts", "same_cpu_ns",
					    "alone_same_cpu_counts", "alone_same_cpu_ns"};

/* Counts a second of each window. */
static struct values speeds(struct run *run, size_t v, const char *counts, const char *ns)
{
	struct values speed = run_values(run, v, counts);
	struct values elapsed = run_values(run, v, ns);

	for (size_t i = 0; i < speed.n; i++)
		speed.at[i] = (int64_t)((double)speed.at[i] * 1e9 / (double)elapsed.at[i]);
	return speed;
}

/* How far they got, times as far as alone, in windows next to each other. */
static struct interval times_alone(struct run *run, size_t v, const struct progress *of)
{
	return stats_ratio(speeds(run, v, of->counts, of->ns),
			   speeds(run, v, of->alone_counts, of->alone_ns));
}

static const char *cpu_text(double ns)
{
	return ns == 0 ? "0 ns" : text_time(ns);
}

static void print_table(struct run *run)
{
	FILE *out = run_out(run);

	run_say(run,
		"A thread counts on each of %d CPU%s for %s. Another one, on the first CPU, is in "
		"the call named. How far those that count got, times as far as without it just "
		"before or after (95 %% interval).",
		run_cpus(), run_cpus() == 1 ? "" : "s", text_time((double)(window_ms * MS)));
	fprintf(out, "\n  %-10s %18s %18s %14s %12s\n", "it is in", "all together",
		"on the same CPU", "its state is S", "it had CPU");
	for (size_t v = 0; v < VARIANTS; v++)
		if (run_selected(run, v))
			fprintf(out, "  %-10s %18s %18s %14s %12s\n", variants[v].name,
				text_interval(times_alone(run, v, &all_together)),
				text_interval(times_alone(run, v, &on_same_cpu)),
				v == NOBODY ? "-"
					    : text_format("%.0f of %.0f",
							  run_sum(run, v, "asleep_looks"),
							  run_sum(run, v, "looks")),
				v == NOBODY ? "-" : cpu_text(run_median(run, v, "blocked_cpu_ns")));
	fputs("\n", out);
}

static void judge(struct run *run)
{
	struct interval spins = times_alone(run, SPINS, &all_together);
	struct interval nobody = times_alone(run, NOBODY, &all_together);
	double least = NAN, most = NAN; /* of those calls that were measured */
	double looks = 0, asleep = 0, cpu_ns = 0;
	size_t windows = 0, idle = 0;
	bool slowed = false;

	for (size_t v = RECV; v <= FUTEX; v++) {
		struct interval times = times_alone(run, v, &all_together);
		struct values counts = run_values(run, v, "counts");

		least = fmin(least, times.mid); /* which leave NAN out */
		most = fmax(most, times.mid);
		windows += counts.n;
		idle += counts.n - stats_nonzero(counts);
		slowed = slowed || times.high < 0.5; /* not by the noise of a few windows */
		looks += run_sum(run, v, "looks");
		asleep += run_sum(run, v, "asleep_looks");
		cpu_ns += run_sum(run, v, "blocked_cpu_ns");
	}
	if (windows == 0)
		return;
	old_verdict(run, "poll-blocking-thread", slowed ? REFUTED : HOLDS,
		    (struct field[]){{"windows", (int64_t)windows},
				     {"idle_windows", (int64_t)idle},
				     {"least_times", .real = &least},
				     {"most_times", .real = &most},
				     {"looks", (int64_t)looks},
				     {"asleep_looks", (int64_t)asleep},
				     {"blocked_cpu_ns", (int64_t)cpu_ns},
				     {0}},
		    "with a thread blocked the others got %.2f to %.2f times as far (the median of "
		    "each call)%s%s. It was asleep in %s of %s looks and had %s of CPU",
		    least, most,
		    isnan(nobody.mid) ? "" : text_format(", with none %.2f", nobody.mid),
		    isnan(spins.mid) ? "" : text_format(", with one that spins %.2f", spins.mid),
		    text_count((int64_t)asleep), text_count((int64_t)looks), cpu_text(cpu_ns));
}

static void report(struct run *run)
{
	print_table(run);
	for (size_t v = RECV; v <= FUTEX; v++)
		old_control(run,
			    stats_nonzero(run_values(run, v, "returned_early")) == 0 &&
				    stats_nonzero(run_values(run, v, "error")) == 0,
			    "%s: the call returned early or failed", variants[v].name);
	judge(run);
	old_why(run, "the kernel schedules threads: one that waits gives its CPU to others until "
		     "it is woken.");
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);
	const struct sigaction action = {.sa_handler = on_signal};

	check_fd(sigaction(SIGUSR1, &action, NULL), "sigaction");
	while (run_next(run))
		for (int i = 0; i < PAIRS && !run_stopped(); i++)
			measure_pair(run, run_variant(run), (run_trial(run) + i) % 2 == 0);
	return old_end(run, report);
}
