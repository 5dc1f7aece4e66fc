/* SPDX-License-Identifier: MIT */
/*
 * threads_go_on - whom does a blocking call stop?
 *
 * 1. On each CPU a thread counts.  On the first of these CPUs there is one thread more, which
 *    blocks in recv, accept, clock_nanosleep or a futex; or it spins, which shows what a thread
 *    that does not block takes from the others; or there is none (control: what is left is
 *    noise).  How far do the others get, times as far as in a window next to it without that
 *    thread?  Its state is read from /proc, and the CPU time that it was given from its clock.
 *
 * 2. A server is one thread with an event loop.  Two clients send short requests all the time, and
 *    a third one a request that needs an answer of a slow back end:
 *
 *	loop-prompt   which is skipped (control)
 *	loop-blocks   the loop waits for it in recv: one thread, so that everybody waits (trap)
 *	loop-thread   another thread waits for it (cure)
 *	loop-event    the loop waits for it as it waits for the clients: by epoll (cure)
 */
#include <err.h>
#include <errno.h>
#include <linux/futex.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "net.h"
#include "span.h"
#include "team.h"
#include "text.h"
#include "thread.h"

enum { NOBODY, SPINS, RECV, ACCEPT, SLEEP, FUTEX, PROMPT, BLOCKS, THREAD, EVENT, VARIANTS };
enum { PAIRS = 3, CACHE_LINE = 64, CLIENTS = 3, SLOW_CLIENT = CLIENTS - 1, MOST = 1024 };

static const struct variant variants[] = {
	[NOBODY] = {"nobody", "no thread but those that count (control)"},
	[SPINS] = {"spins", "a thread that does not block, for comparison"},
	[RECV] = {"recv", "a thread blocks in recv"},
	[ACCEPT] = {"accept", "in accept"},
	[SLEEP] = {"sleep", "in clock_nanosleep"},
	[FUTEX] = {"futex", "in a futex wait, as of a mutex"},
	[PROMPT] = {"loop-prompt", "an event loop whose handlers do not wait (control)"},
	[BLOCKS] = {"loop-blocks", "one handler waits, and with it the loop (trap)"},
	[THREAD] = {"loop-thread", "a thread waits for that handler (cure)"},
	[EVENT] = {"loop-event", "the loop gets the answer as an event (cure)"},
	{0}};

static const struct claim claims[] = {
	{"poll-blocking-thread", "a blocking call stops only its thread; other threads go on"},
	{0}};

static int64_t window_ms = 6;
static int64_t block_ms = 100;

static const struct opt opts[] = {{'w', "window", "how long the threads count", .num = &window_ms,
				   .min = 2, .quick = 4, .max = 200, .unit = OPT_MS},
				  {'b', "block", "how long the back end takes for its answer",
				   .num = &block_ms, .min = 10, .quick = 20, .max = 500,
				   .unit = OPT_MS},
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

static const int64_t ms = 1000000;

/* --- 1: a thread that blocks ----------------------------------------------- */

struct blocker {
	size_t variant;
	pthread_t thread;
	atomic_int tid;
	struct net_pair fd;       /* of RECV */
	struct sockaddr_in where; /* of ACCEPT, whose listener is fd.rx */
	atomic_uint word;         /* 0: FUTEX waits for it to change, SPINS until it has */
	int64_t end_ns;           /* when its call had returned */
	int64_t error;
	atomic_bool ended;
};

/* The call under test, until release(). */
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

static void *blocking_thread(void *argument)
{
	struct blocker *b = argument;

	run_pin(0);
	atomic_store(&b->tid, gettid());
	b->error = block(b);
	b->end_ns = span_now();
	atomic_store(&b->ended, true);
	return NULL;
}

/* Its arrival alone ends a sleep. */
static void on_signal(int number)
{
	(void)number;
}

static void release(struct blocker *b)
{
	int fd;

	atomic_store(&b->word, 1);
	if (b->variant == RECV && send(b->fd.tx, "", 1, 0) != 1)
		err(EXIT_USAGE, "send");
	if (b->variant == FUTEX)
		syscall(SYS_futex, &b->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	while (b->variant == SLEEP && !atomic_load(&b->ended)) { /* a signal may come too early */
		check(pthread_kill(b->thread, SIGUSR1), "pthread_kill");
		run_sleep_until(span_now() + ms / 10);
	}
	if (b->variant == ACCEPT) {
		fd = net_connect(&b->where);
		check(pthread_join(b->thread, NULL), "pthread_join");
		close(fd);
	} else if (b->variant != NOBODY) {
		check(pthread_join(b->thread, NULL), "pthread_join");
	}
	net_close(&b->fd);
}

/* Starts it and waits until it blocks (or spins). */
static void begin_blocking(struct blocker *b)
{
	int64_t patience_ns = span_now() + 1000 * ms;

	b->fd = (struct net_pair){-1, -1};
	if (b->variant == RECV)
		b->fd = net_pair(NET_TCP, (struct net_ask){0});
	if (b->variant == ACCEPT)
		b->fd.rx = net_listen(1, &b->where);
	if (b->variant == NOBODY) {
		b->thread = pthread_self();
		atomic_store(&b->tid, gettid()); /* so that as much is looked at */
		return;
	}
	check(pthread_create(&b->thread, NULL, blocking_thread, b), "pthread_create");
	while (atomic_load(&b->tid) == 0 ||
	       (b->variant != SPINS && thread_state(atomic_load(&b->tid)) != 'S'))
		if (span_now() > patience_ns || !run_sleep_until(span_now() + 50000))
			return;
}

/* The threads that count, one on each CPU. */
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

/* Lets the others count, and looks at this thread meanwhile. */
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
	w.deadline_ns = c.deadline_ns = span_now() + window_ms * ms;
	team_start(&team, threads, TEAM_SPREAD, count, &c);
	while (run_sleep_until(span_now() + ms) && span_now() < c.deadline_ns) {
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

static struct window count_alone(void)
{
	return count_beside(pthread_self(), gettid()); /* so that as much is looked at */
}

/* A window with that thread and one without, next to each other, so that noise meets both. */
static void measure_pair(struct run *run, size_t variant, bool alone_first)
{
	struct blocker b = {.variant = variant};
	struct window alone = {0};
	struct window with;

	if (alone_first)
		alone = count_alone();
	begin_blocking(&b);
	with = count_beside(b.thread, atomic_load(&b.tid));
	release(&b);
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
				{"looks", variant == NOBODY ? 0 : with.looks},
				{"asleep_looks", variant == NOBODY ? 0 : with.asleep},
				{"blocked_cpu_ns", variant == NOBODY ? 0 : with.cpu_ns},
				{"returned_early", variant > SPINS && b.end_ns < with.deadline_ns},
				{"error", b.error},
				{0}});
}

/* --- 2: an event loop ------------------------------------------------------ */

/* Requests, answers and what is asked of the back end; each is one datagram of a socket pair. */
struct message {
	int64_t number, due_ns;
};

enum { SERVER_END, OTHER_END };

struct loop {
	size_t variant;
	int client[CLIENTS][2]; /* the server's end and the client's */
	int back[2];            /* the server's end and the back end's */
	int stop;
	struct message waiting; /* the slow client's request */
	pthread_t helper;
	bool helped;
};

static bool get(int fd, struct message *message)
{
	return recv(fd, message, sizeof(*message), 0) == sizeof(*message);
}

static void put(int fd, struct message message)
{
	if (send(fd, &message, sizeof(message), MSG_NOSIGNAL) < 0 && errno != EPIPE)
		err(EXIT_USAGE, "send");
}

static void answer_slow_client(struct loop *l)
{
	put(l->client[SLOW_CLIENT][SERVER_END], l->waiting);
}

/* Waits for the back end's answer, on which the slow client's depends. */
static void *wait_for_back_end(void *argument)
{
	struct loop *l = argument;
	struct message answer;

	if (get(l->back[SERVER_END], &answer))
		answer_slow_client(l);
	return NULL;
}

static void handle_slow(struct loop *l)
{
	if (l->variant == PROMPT) {
		answer_slow_client(l);
		return;
	}
	put(l->back[SERVER_END], l->waiting);
	if (l->variant == BLOCKS)
		wait_for_back_end(l);
	if (l->variant == THREAD) {
		check(pthread_create(&l->helper, NULL, wait_for_back_end, l), "pthread_create");
		l->helped = true;
	}
}

static void handle(struct loop *l, int who)
{
	struct message message;

	if (who == CLIENTS) {
		wait_for_back_end(l); /* which has answered: this does not wait */
	} else if (get(l->client[who][SERVER_END], &message)) {
		if (who == SLOW_CLIENT) {
			l->waiting = message;
			handle_slow(l);
		} else {
			put(l->client[who][SERVER_END], message);
		}
	}
}

static void watch(int epoll, int fd, int who)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = who};

	check_fd(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

static void *serve(void *argument)
{
	struct loop *l = argument;
	int epoll = check_fd(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
	bool stopped = false;

	for (int i = 0; i < CLIENTS; i++)
		watch(epoll, l->client[i][SERVER_END], i);
	if (l->variant == EVENT)
		watch(epoll, l->back[SERVER_END], CLIENTS);
	watch(epoll, l->stop, CLIENTS + 1);
	while (!stopped) {
		struct epoll_event events[CLIENTS + 2];
		int n = epoll_wait(epoll, events, CLIENTS + 2, -1);

		for (int i = 0; i < n; i++)
			if (events[i].data.fd > CLIENTS)
				stopped = true;
			else
				handle(l, events[i].data.fd);
	}
	if (l->helped)
		check(pthread_join(l->helper, NULL), "pthread_join");
	close(epoll);
	return NULL;
}

/* Everything but the server: three clients and the back end. */
struct world {
	struct loop *loop;
	int64_t begin_ns, end_ns; /* the first request and the last one are due */
	int64_t sent[CLIENTS], answered[CLIENTS], wrong;
	int64_t back_due_ns; /* when the back end answers; 0 = nobody has asked */
	struct message asked;
	int64_t latency[MOST]; /* of the quick clients' requests, in the order of the answers */
	int64_t at[MOST];      /* when each was due, since the beginning */
	int64_t who[MOST];
	size_t n;
	int64_t slow_due_ns, slow_ns;
};

static const int64_t every_ns = 2000000; /* between requests of a quick client */
static const int64_t before_ns = 4000000, after_ns = 6000000; /* of quick requests only */

/* When a client's next request is due; INT64_MAX = there is none. */
static int64_t next_due(const struct world *w, int client)
{
	int64_t due_ns = w->begin_ns + client * every_ns / 2 + w->sent[client] * every_ns;

	if (client == SLOW_CLIENT)
		return w->sent[client] ? INT64_MAX : w->slow_due_ns;
	return due_ns < w->end_ns ? due_ns : INT64_MAX;
}

/* Sends what is due by now; returns when something will be due. */
static int64_t send_due(struct world *w)
{
	int64_t next_ns = INT64_MAX;

	for (int i = 0; i < CLIENTS; i++) {
		int64_t due_ns;

		while ((due_ns = next_due(w, i)) <= span_now())
			put(w->loop->client[i][OTHER_END], (struct message){w->sent[i]++, due_ns});
		next_ns = due_ns < next_ns ? due_ns : next_ns;
	}
	if (w->back_due_ns && w->back_due_ns <= span_now()) {
		put(w->loop->back[OTHER_END], w->asked);
		w->back_due_ns = 0;
	}
	return w->back_due_ns && w->back_due_ns < next_ns ? w->back_due_ns : next_ns;
}

static void receive_answer(struct world *w, int client)
{
	struct message answer;
	int64_t latency_ns;

	if (!get(w->loop->client[client][OTHER_END], &answer))
		err(EXIT_USAGE, "recv");
	latency_ns = span_now() - answer.due_ns;
	w->wrong += answer.number != w->answered[client]++;
	if (client == SLOW_CLIENT) {
		w->slow_ns = latency_ns;
		return;
	}
	w->latency[w->n] = latency_ns;
	w->at[w->n] = answer.due_ns - w->begin_ns;
	w->who[w->n++] = client;
}

/* Waits until then for answers, for a question to the back end, or for a signal. */
static void receive_until(struct world *w, int64_t until_ns)
{
	struct pollfd fds[CLIENTS + 2];
	int64_t left_ns = until_ns - span_now();
	struct timespec timeout = {left_ns / 1000000000, left_ns % 1000000000};

	for (int i = 0; i < CLIENTS; i++)
		fds[i] = (struct pollfd){w->loop->client[i][OTHER_END], POLLIN, 0};
	fds[CLIENTS] = (struct pollfd){w->loop->back[OTHER_END], POLLIN, 0};
	fds[CLIENTS + 1] = (struct pollfd){run_stop_fd(), POLLIN, 0};
	if (left_ns <= 0 || ppoll(fds, CLIENTS + 2, &timeout, NULL) <= 0)
		return;
	for (int i = 0; i < CLIENTS; i++)
		if (fds[i].revents)
			receive_answer(w, i);
	if (fds[CLIENTS].revents && get(w->loop->back[OTHER_END], &w->asked))
		w->back_due_ns = span_now() + block_ms * ms;
}

static bool all_answered(const struct world *w)
{
	for (int i = 0; i < CLIENTS; i++)
		if (next_due(w, i) != INT64_MAX || w->answered[i] < w->sent[i])
			return false;
	return true;
}

static void record_loop(struct run *run, struct world *w)
{
	struct values latency = {w->latency, w->n};
	int64_t late = 0;

	for (size_t i = 0; i < w->n; i++) {
		late += w->latency[i] > block_ms * ms / 2;
		if (run_trial(run) == 0)
			run_row(run, "request",
				(struct field[]){{"client", w->who[i]},
						 {"due_ns", w->at[i]},
						 {"latency_ns", w->latency[i]},
						 {0}});
	}
	run_record(run, (struct field[]){{"requests", w->sent[0] + w->sent[1]},
					 {"answers", w->answered[0] + w->answered[1]},
					 {"slow_answers", w->answered[SLOW_CLIENT]},
					 {"wrong_answers", w->wrong},
					 {"slow_due_ns", w->slow_due_ns - w->begin_ns},
					 {"slow_ns", w->slow_ns},
					 {"p50_ns", (int64_t)stats_quantile(latency, 0.5)},
					 {"worst_ns", (int64_t)stats_quantile(latency, 1)},
					 {"late_answers", late},
					 {0}});
}

static void measure_loop(struct run *run, size_t variant)
{
	static struct world w; /* too large for a stack */
	const int type = SOCK_SEQPACKET | SOCK_CLOEXEC;
	struct loop l = {.variant = variant, .stop = check_fd(eventfd(0, EFD_CLOEXEC), "eventfd")};
	const uint64_t one = 1;
	int64_t patience_ns;
	pthread_t server;

	for (int i = 0; i < CLIENTS; i++)
		check_fd(socketpair(AF_UNIX, type, 0, l.client[i]), "socketpair");
	check_fd(socketpair(AF_UNIX, type, 0, l.back), "socketpair");
	check(pthread_create(&server, NULL, serve, &l), "pthread_create");
	w = (struct world){.loop = &l, .begin_ns = span_now() + ms};
	w.slow_due_ns = w.begin_ns + before_ns;
	w.end_ns = w.slow_due_ns + block_ms * ms + after_ns;
	patience_ns = w.end_ns + 2000 * ms;
	while (!all_answered(&w) && span_now() < patience_ns && !run_stopped()) {
		int64_t next_ns = send_due(&w);

		receive_until(&w, next_ns < patience_ns ? next_ns : patience_ns);
	}
	shutdown(l.back[OTHER_END], SHUT_RDWR); /* whoever still waits for it goes on */
	if (write(l.stop, &one, sizeof(one)) < 0)
		err(EXIT_USAGE, "eventfd");
	check(pthread_join(server, NULL), "pthread_join");
	for (int i = 0; i < CLIENTS; i++)
		for (int end = 0; end < 2; end++)
			close(l.client[i][end]);
	close(l.back[SERVER_END]);
	close(l.back[OTHER_END]);
	close(l.stop);
	if (w.n)
		record_loop(run, &w);
}

/* --- report -------------------------------------------------------------- */

static bool any_selected(const struct run *run, size_t first, size_t last)
{
	while (first <= last && !run_selected(run, first))
		first++;
	return first <= last;
}

static double sum(struct run *run, size_t v, const char *field)
{
	return stats_sum(run_values(run, v, field));
}

/* How far they got, times how far they got alone, in windows next to each other. */
static struct interval times_alone(struct run *run, size_t v, const char *const fields[4])
{
	struct values with = run_values(run, v, fields[0]), with_ns = run_values(run, v, fields[1]);
	struct values alone = run_values(run, v, fields[2]);
	struct values alone_ns = run_values(run, v, fields[3]);
	struct interval times;
	size_t n = 0;

	for (size_t i = 0; i < with.n; i++) {
		double here = (double)with.at[i] / (double)with_ns.at[i];
		double there = (double)alone.at[i] / (double)alone_ns.at[i];

		if (there > 0) /* else nothing can be compared */
			with.at[n++] = (int64_t)(here / there * 1e6);
	}
	with.n = n;
	times = stats_median(with);
	return (struct interval){times.mid / 1e6, times.low / 1e6, times.high / 1e6};
}

static struct interval all_times(struct run *run, size_t v)
{
	static const char *const fields[] = {"counts", "elapsed_ns", "alone_counts",
					     "alone_elapsed_ns"};

	return times_alone(run, v, fields);
}

static struct interval same_cpu_times(struct run *run, size_t v)
{
	static const char *const fields[] = {"same_cpu_counts", "same_cpu_ns",
					     "alone_same_cpu_counts", "alone_same_cpu_ns"};

	return times_alone(run, v, fields);
}

static const char *interval_text(struct interval times)
{
	return isfinite(times.mid)
		       ? text_format("%.2f (%.2f-%.2f)", times.mid, times.low, times.high)
		       : "-";
}

static const char *cpu_text(double ns)
{
	return ns == 0 ? "0 ns" : text_time(ns);
}

static void print_threads(struct run *run)
{
	FILE *out = run_out(run);

	run_say(run,
		"1. A thread counts on each of %d CPU%s for %s. Another one, on the first CPU, is "
		"in "
		"the call named. How far those that count got, times as far as without it just "
		"before or after (95 %% interval).",
		run_cpus(), run_cpus() == 1 ? "" : "s", text_time((double)(window_ms * ms)));
	fprintf(out, "\n  %-10s %18s %18s %14s %12s\n", "it is in", "all together",
		"on the same CPU", "its state is S", "it had CPU");
	for (size_t v = NOBODY; v <= FUTEX; v++)
		if (run_selected(run, v))
			fprintf(out, "  %-10s %18s %18s %14s %12s\n", variants[v].name,
				interval_text(all_times(run, v)),
				interval_text(same_cpu_times(run, v)),
				v == NOBODY
					? "-"
					: text_format("%.0f of %.0f", sum(run, v, "asleep_looks"),
						      sum(run, v, "looks")),
				v == NOBODY ? "-" : cpu_text(run_median(run, v, "blocked_cpu_ns")));
	fputs("\n", out);
}

static void print_loops(struct run *run)
{
	FILE *out = run_out(run);

	run_say(run,
		"2. One thread serves three clients; the third one's request needs an answer that "
		"takes %s. The two others ask every %s each.",
		text_time((double)(block_ms * ms)), text_time((double)every_ns));
	fprintf(out, "\n  %-12s %14s %14s %14s %20s\n", "variant", "third client", "others, p50",
		"worst", text_format("over %s", text_time((double)(block_ms * ms) / 2)));
	for (size_t v = PROMPT; v <= EVENT; v++)
		if (run_selected(run, v))
			fprintf(out, "  %-12s %14s %14s %14s %20s\n", variants[v].name,
				text_time(run_median(run, v, "slow_ns")),
				text_time(run_median(run, v, "p50_ns")),
				text_time(run_median(run, v, "worst_ns")),
				text_format("%.0f of %.0f", sum(run, v, "late_answers"),
					    sum(run, v, "answers")));
	fputs("\n", out);
}

static void control_all(struct run *run)
{
	for (size_t v = RECV; v <= FUTEX; v++)
		run_control(run,
			    stats_nonzero(run_values(run, v, "returned_early")) == 0 &&
				    stats_nonzero(run_values(run, v, "error")) == 0,
			    "%s: the call returned early or failed", variants[v].name);
	for (size_t v = PROMPT; v <= EVENT; v++)
		run_control(run,
			    sum(run, v, "answers") == sum(run, v, "requests") &&
				    sum(run, v, "slow_answers") ==
					    (double)run_values(run, v, "slow_answers").n &&
				    sum(run, v, "wrong_answers") == 0,
			    "%s: answers were lost or out of order", variants[v].name);
}

/* The least and the most of what is seen of some variants. */
struct range {
	double least, most; /* NAN, NAN: of none */
};

static void widen(struct range *range, double value)
{
	range->least = fmin(range->least, value); /* which leave NAN out */
	range->most = fmax(range->most, value);
}

static const char *loops_text(struct run *run)
{
	double blocks = run_median(run, BLOCKS, "worst_ns");
	struct range others = {NAN, NAN};

	for (size_t v = PROMPT; v <= EVENT; v++)
		if (v != BLOCKS)
			widen(&others, run_median(run, v, "worst_ns"));
	if (isnan(blocks) || isnan(others.most))
		return "";
	return text_format(". In a one-thread loop that blocks others waited %s at worst; in the "
			   "other loops %s to %s",
			   text_time(blocks), text_time(others.least), text_time(others.most));
}

static void judge(struct run *run)
{
	double looks = 0, asleep = 0, cpu_ns = 0;
	struct range progress = {NAN, NAN};
	struct interval spins = all_times(run, SPINS);
	struct interval nobody = all_times(run, NOBODY);
	size_t windows = 0, idle = 0;
	bool slowed = false;

	for (size_t v = RECV; v <= FUTEX; v++) {
		struct values counts = run_values(run, v, "counts");
		struct interval times = all_times(run, v);

		widen(&progress, times.mid);
		windows += counts.n;
		idle += counts.n - stats_nonzero(counts);
		slowed = slowed || times.high < 0.5; /* not by the noise of a few windows */
		looks += sum(run, v, "looks");
		asleep += sum(run, v, "asleep_looks");
		cpu_ns += sum(run, v, "blocked_cpu_ns");
	}
	if (windows == 0)
		return;
	run_verdict(run, "poll-blocking-thread", slowed ? REFUTED : HOLDS,
		    (struct field[]){{"windows", (int64_t)windows},
				     {"idle_windows", (int64_t)idle},
				     {"least_times", .real = &progress.least},
				     {"most_times", .real = &progress.most},
				     {"looks", (int64_t)looks},
				     {"asleep_looks", (int64_t)asleep},
				     {"blocked_cpu_ns", (int64_t)cpu_ns},
				     {0}},
		    "with a thread blocked the others got %.2f to %.2f times as far (the median of "
		    "each call)%s%s. It was asleep in %s of %s looks and had %s of CPU%s",
		    progress.least, progress.most,
		    isnan(nobody.mid) ? "" : text_format(", with none %.2f", nobody.mid),
		    isnan(spins.mid) ? "" : text_format(", with one that spins %.2f", spins.mid),
		    text_count((int64_t)asleep), text_count((int64_t)looks), cpu_text(cpu_ns),
		    loops_text(run));
}

static void report(struct run *run)
{
	if (any_selected(run, NOBODY, FUTEX))
		print_threads(run);
	if (any_selected(run, PROMPT, EVENT))
		print_loops(run);
	control_all(run);
	judge(run);
	run_why(run,
		"the kernel schedules threads: one that waits gives its CPU to others until it "
		"is woken. But what a thread would do next waits with it, and of an event loop "
		"that is everybody.");
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);
	const struct sigaction action = {.sa_handler = on_signal};

	check_fd(sigaction(SIGUSR1, &action, NULL), "sigaction");
	while (run_next(run)) {
		size_t variant = run_variant(run);

		if (variant >= PROMPT)
			measure_loop(run, variant);
		else
			for (int i = 0; i < PAIRS && !run_stopped(); i++)
				measure_pair(run, variant, (run_trial(run) + i) % 2 == 0);
	}
	return run_end(run, report);
}
