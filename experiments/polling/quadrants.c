/* SPDX-License-Identifier: MIT */
/*
 * quadrants - does the call wait, and who notices that a message has come?
 *
 * Two questions that are often taken for one.  A thread works in slices of some us, and looks for
 * messages in between; each quarter is real code:
 *
 *	             it finds out by asking        the kernel tells it
 *	it waits     recv                          epoll: epoll_wait, then a recv that is told to
 *	it goes on   spin: recv(MSG_DONTWAIT)      sigio: a signal (O_ASYNC, F_SETSIG) runs a handler
 *	                                           io_uring: the kernel receives, and writes so into
 *	                                           memory
 *
 * Another thread keeps reading its state from /proc: S sleeps, R runs or could.  Whether it was told
 * is counted where the message is taken: a handler ran, an event or a completion was there before.
 * "work" is the control: nothing but the work.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "old.h"
#include "histogram.h"
#include "messages.h"
#include "span.h"
#include "team.h"
#include "text.h"
#include "thread.h"
#include "uring.h"

enum { RECV, SPIN, EPOLL, SIGNAL, URING, WORK, VARIANTS };

static const struct variant variants[] = {
	[RECV] = {"recv", "a blocking recv"},
	[SPIN] = {"spin", "recv(MSG_DONTWAIT) until there is something"},
	[EPOLL] = {"epoll", "epoll_wait, and recv when it says so"},
	[SIGNAL] = {"sigio", "a signal says that recv is worth it"},
	[URING] = {"io_uring", "a recv that the kernel does by itself"},
	[WORK] = {"work", "no look at the socket (control)"},
	{0}};

static const struct quarter {
	const char *call, *noticed; /* for people */
	bool waits, told;           /* what the claim expects */
} quarters[WORK] = {
	[RECV] = {"waits", "by asking", true, false},
	[SPIN] = {"goes on", "by asking", false, false},
	[EPOLL] = {"waits", "is told", true, true},
	[SIGNAL] = {"goes on", "is told", false, true},
	[URING] = {"goes on", "is told", false, true},
};

static const struct claim claims[] = {
	{"poll-four-quadrants", "blocking or not (does the call return at once?) and synchronous "
				"or asynchronous (who notices completion?) are independent: all "
				"four combinations exist"},
	{0}};

static int64_t messages = 8;
static int64_t gap_ms = 14;

static const struct opt opts[] = {
	{'n', "messages", "of a trial", .num = &messages, .min = 1, .quick = 4, .max = 1000},
	{'g', "gap", "time before each message", .num = &gap_ms, .min = 2, .quick = 10, .max = 500,
	 .unit = OPT_MS},
	{0}};

static const struct experiment about = {
	.name = "quadrants",
	.group = "polling",
	.summary = "Does the call wait, and who notices that a message has come?",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.trials = 5,
	.quick_trials = 2,
};

enum { SLICE = 4096 }; /* turns of the work between two looks */

static const int64_t look_ns = 500000; /* between two looks at the thread's state */

/* One trial.  The sender's thread needs the messages, the watcher the next three; the rest is the
 * receiver's. */
struct trial {
	struct messages messages;

	atomic_int tid; /* of the receiver, once it has begun; -1 when it has ended */
	int64_t looks, asleep;

	size_t variant;
	int64_t told;          /* messages that something told of before they were taken */
	int64_t calls, wasted; /* system calls for messages; of these, those that said EAGAIN */
	struct histogram took; /* ns: those that look for a message, or wait for it */
	int64_t sleeps, slices;
	uint64_t worked;
	int signals; /* that it has looked after */
	int epoll;
	struct uring ring;
};

static int ring_error; /* why there is no io_uring; 0 = there is */

/* Signals that the kernel sent to the receiver, for its handler. */
static atomic_int signals;

static void on_signal(int number)
{
	(void)number;
	atomic_fetch_add(&signals, 1);
}

/* --- the sender and the watcher ------------------------------------------------ */

static void send_messages(void *argument)
{
	struct trial *t = argument;

	messages_send(&t->messages);
}

/* A look counts only if the thread was there before and after it. */
static void watch(struct trial *t)
{
	int tid;

	while ((tid = atomic_load(&t->tid)) >= 0) {
		char state = '?';

		if (tid)
			state = thread_state(tid);

		if (state != '?' && atomic_load(&t->tid) == tid) {
			t->looks++;
			t->asleep += state == 'S' || state == 'D';
		}
		run_sleep_until(span_now() + look_ns);
	}
}

/* --- the receiver ---------------------------------------------------------- */

static void work_a_slice(struct trial *t)
{
	uint64_t x = t->worked;

	for (int i = 0; i < SLICE; i++)
		x = x * 6364136223846793005U + 1442695040888963407U;
	t->worked = x;
	t->slices++;
}

/* told: by an event or a signal, that it is worth it. */
static void receive(struct trial *t, int flags, bool told)
{
	int64_t begin_ns = span_now();
	int64_t n = messages_recv(&t->messages, flags);

	t->calls++;
	if (t->variant != EPOLL)
		histogram_add(&t->took, span_now() - begin_ns);
	if (n < 0)
		t->wasted++;
	else if (told)
		t->told += n;
}

static void wait_epoll(struct trial *t)
{
	struct epoll_event event;
	int64_t begin_ns = span_now();

	check_fd(epoll_wait(t->epoll, &event, 1, -1), "epoll_wait");
	t->calls++;
	histogram_add(&t->took, span_now() - begin_ns);
}

/* Hands the kernel a recv, which it does when there is something. */
static void ask_ring(struct trial *t)
{
	int64_t begin_ns = span_now();

	uring_ask_recv(&t->ring, t->messages.fd.rx, messages_room(&t->messages));
	check(uring_enter(&t->ring, 0), "io_uring_enter");
	t->calls++;
	histogram_add(&t->took, span_now() - begin_ns);
}

static void take_from_ring(struct trial *t)
{
	struct io_uring_cqe done;

	if (!uring_done(&t->ring, &done))
		return;
	if (done.res < 0)
		check(-done.res, "recv by io_uring");
	t->told += messages_take(&t->messages, (size_t)done.res);
	if (messages_left(&t->messages))
		ask_ring(t);
}

static void look(struct trial *t)
{
	int now = atomic_load(&signals);

	switch (t->variant) {
	case RECV:
		receive(t, 0, false);
		break;
	case SPIN:
		receive(t, MSG_DONTWAIT, false);
		break;
	case EPOLL:
		wait_epoll(t);
		receive(t, MSG_DONTWAIT, true);
		break;
	case SIGNAL:
		if (now != t->signals)
			receive(t, MSG_DONTWAIT, true);
		t->signals = now;
		break;
	case URING:
		take_from_ring(t);
		break;
	default:
		break;
	}
}

/* From now on this thread gets a signal whenever something comes; of what is there it gets none. */
static void ask_for_signals(int fd)
{
	const struct f_owner_ex me = {F_OWNER_TID, gettid()};
	int flags = check_fd(fcntl(fd, F_GETFL), "F_GETFL");

	check_fd(fcntl(fd, F_SETSIG, SIGRTMIN + 1), "F_SETSIG");
	check_fd(fcntl(fd, F_SETOWN_EX, &me), "F_SETOWN_EX");
	check_fd(fcntl(fd, F_SETFL, flags | O_ASYNC), "O_ASYNC");
	if (net_inq(fd) > 0)
		check(pthread_kill(pthread_self(), SIGRTMIN + 1), "pthread_kill");
}

static void receive_messages(void *argument)
{
	struct trial *t = argument;
	int64_t end_ns = span_now() + messages * gap_ms * 1000000;

	t->signals = atomic_load(&signals);
	if (t->variant == SIGNAL)
		ask_for_signals(t->messages.fd.rx);
	if (t->variant == URING)
		ask_ring(t);
	t->sleeps = -span_sleeps();
	atomic_store(&t->tid, gettid());
	while (t->variant == WORK ? span_now() < end_ns && !run_stopped()
				  : messages_left(&t->messages)) {
		work_a_slice(t);
		look(t);
	}
	atomic_store(&t->tid, -1);
	t->sleeps += span_sleeps();
}

/* --- a trial --------------------------------------------------------------- */

static void prepare(struct trial *t)
{
	struct epoll_event readable = {.events = EPOLLIN};

	messages_begin(&t->messages, messages);
	for (int64_t i = 0; i < messages; i++)
		t->messages.at_ns[i] = (i + 1) * gap_ms * 1000000;
	if (t->variant == URING)
		check(uring_open(&t->ring, 1), "io_uring_setup");
	if (t->variant == EPOLL) {
		int fd = t->messages.fd.rx;

		t->epoll = check_fd(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
		check_fd(epoll_ctl(t->epoll, EPOLL_CTL_ADD, fd, &readable), "epoll_ctl");
	}
}

static void measure(struct run *run)
{
	struct trial t = {.variant = run_variant(run)};
	struct team team;
	struct span own;

	prepare(&t);
	team_start_two(&team, TEAM_SPREAD, receive_messages, send_messages, &t);
	watch(&t);
	team_join(&team);
	own = team.members[0].span;
	run_record(run, (struct field[]){
				{"elapsed_ns", span_wall(&own)},
				{"cpu_ns", own.cpu_ns},
				{"slices", t.slices},
				{"looks", t.looks},
				{"asleep_looks", t.asleep},
				{"sleeps", t.sleeps},
				{"calls", t.calls},
				{"wasted_calls", t.wasted},
				{"call_ns", histogram_quantile(&t.took, 0.5)},
				{"longest_ns", histogram_quantile(&t.took, 1)},
				{"sent_messages", t.variant == WORK ? 0 : messages},
				{"got_messages", t.messages.got},
				{"told_messages", t.told},
				{"misplaced_messages", t.messages.misplaced},
				/* without messages the row ends here */
				{t.messages.got ? "p50_ns" : NULL, messages_late(&t.messages, 0.5)},
				{0}});
	if (t.variant == URING)
		uring_close(&t.ring);
	if (t.variant == EPOLL)
		close(t.epoll);
	messages_end(&t.messages);
}

/* --- report -------------------------------------------------------------- */

static bool measured(struct run *run, size_t v)
{
	return run_values(run, v, "slices").n > 0;
}

static double asleep_share(struct run *run, size_t v)
{
	return run_sum(run, v, "asleep_looks") / run_sum(run, v, "looks");
}

/* What got done beside the messages, as a share of what gets done without them. */
static double work_share(struct run *run, size_t v)
{
	double alone = run_median(run, WORK, "slices") / run_median(run, WORK, "elapsed_ns");

	return run_median(run, v, "slices") / run_median(run, v, "elapsed_ns") / alone;
}

static void print_variant(struct run *run, size_t v)
{
	const char *asleep = text_share(asleep_share(run, v));
	const char *work = measured(run, WORK) ? text_share(work_share(run, v)) : "?";
	double got = run_sum(run, v, "got_messages");
	double calls = run_sum(run, v, "calls") / got;

	if (v == WORK)
		fprintf(run_out(run), "  %-8s %-7s %-9s %7s %7s\n", "work", "-", "-", asleep, work);
	else
		fprintf(run_out(run), "  %-8s %-7s %-9s %7s %7s %8s %8s %7s %8s\n",
			variants[v].name, quarters[v].call, quarters[v].noticed, asleep, work,
			text_time(run_median(run, v, "call_ns")),
			text_format(calls < 10 ? "%.1f" : "%.0f", calls),
			text_format("%.0f/%.0f", run_sum(run, v, "told_messages"), got),
			text_time(run_median(run, v, "p50_ns")));
}

static void print_table(struct run *run)
{
	FILE *out = run_out(run);

	run_say(run,
		"%s messages a trial, one each %s, to a thread that has other work to do. Its "
		"state as another thread read it from /proc; times are medians.",
		text_count(messages), text_time((double)gap_ms * 1e6));
	fprintf(out, "\n  %-8s %-7s %-9s %7s %7s %8s %8s %7s %8s\n", "", "the", "it finds", "state",
		"work", "a call", "calls a", "told of", "latency");
	fprintf(out, "  %-8s %-7s %-9s %7s %7s %8s %8s %7s %8s\n", "variant", "call", "out", "S",
		"done", "takes", "message", "before", "p50");
	for (size_t v = 0; v < VARIANTS; v++)
		if (measured(run, v))
			print_variant(run, v);
	if (ring_error && run_selected(run, URING))
		run_say(run, "Left out: io_uring (refused here: %s)", text_errno(ring_error));
	fputs("\n", out);
}

/* Whether a variant is in its quarter: it slept or not, and was told of all messages or of none. */
static bool as_expected(struct run *run, size_t v)
{
	double told = run_sum(run, v, "told_messages");

	return measured(run, v) &&
	       (quarters[v].waits ? asleep_share(run, v) > 2.0 / 3
				  : asleep_share(run, v) < 1.0 / 3) &&
	       told == (quarters[v].told ? run_sum(run, v, "got_messages") : 0);
}

static void judge(struct run *run)
{
	bool seen[2][2] = {{false}}; /* [waits][told] */
	double asleep[WORK], done[WORK];
	int n;

	for (size_t v = RECV; v < WORK; v++) {
		seen[quarters[v].waits][quarters[v].told] |= as_expected(run, v);
		asleep[v] = asleep_share(run, v);
		done[v] = work_share(run, v);
		if (!measured(run, v) && v != URING)
			return;
	}
	n = seen[0][0] + seen[0][1] + seen[1][0] + seen[1][1];
	old_verdict(run, "poll-four-quadrants", n == 4 ? HOLDS : NOT_SEEN,
		    (struct field[]){{"combinations", n},
				     {"recv_asleep_share", .real = &asleep[RECV]},
				     {"spin_asleep_share", .real = &asleep[SPIN]},
				     {"epoll_asleep_share", .real = &asleep[EPOLL]},
				     {"sigio_asleep_share", .real = &asleep[SIGNAL]},
				     {"io_uring_asleep_share", .real = &asleep[URING]},
				     {"recv_work_share", .real = &done[RECV]},
				     {"spin_work_share", .real = &done[SPIN]},
				     {"epoll_work_share", .real = &done[EPOLL]},
				     {"sigio_work_share", .real = &done[SIGNAL]},
				     {"io_uring_work_share", .real = &done[URING]},
				     {0}},
		    "%d of 4 combinations. Asleep in recv and epoll_wait: %s and %s of the time, "
		    "with spin and sigio %s and %s. Told by the kernel: epoll of %.0f and sigio "
		    "of %.0f of %.0f messages; spin asked %s times in vain",
		    n, text_share(asleep[RECV]), text_share(asleep[EPOLL]),
		    text_share(asleep[SPIN]), text_share(asleep[SIGNAL]),
		    run_sum(run, EPOLL, "told_messages"), run_sum(run, SIGNAL, "told_messages"),
		    run_sum(run, SIGNAL, "got_messages"),
		    text_count((int64_t)run_sum(run, SPIN, "wasted_calls")));
}

static void report(struct run *run)
{
	print_table(run);
	judge(run);
	for (size_t v = 0; v < WORK; v++)
		old_control(run,
			    run_sum(run, v, "got_messages") == run_sum(run, v, "sent_messages") &&
				    run_sum(run, v, "misplaced_messages") == 0,
			    "%s: messages were lost or out of order", variants[v].name);
	if (measured(run, WORK))
		old_control(run, asleep_share(run, WORK) < 1.0 / 3,
			    "a thread that only works was seen asleep: its state tells nothing");
	old_why(run,
		"blocking is about the call: does the thread sleep in it? Asynchronous is about "
		"the message: the kernel notes that it came, whether the thread sleeps until then "
		"(epoll_wait) or works (a signal, a completion).");
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);
	const struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

	check_fd(sigaction(SIGRTMIN + 1, &action, NULL), "sigaction");
	check_fd(sigaction(SIGIO, &action, NULL), "sigaction"); /* if its queue were full */
	ring_error = uring_missing();
	while (run_next(run))
		if (run_variant(run) != URING || !ring_error)
			measure(run);
	return old_end(run, report);
}
