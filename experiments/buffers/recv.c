/* SPDX-License-Identifier: MIT */
/*
 * recv - how long does recv wait, for what, and what does waiting cost?
 *
 * By itself recv waits until one byte is there.  Options and flags change that:
 *
 *	empty    nothing is there and the sender is late: recv sleeps until it comes;
 *	ready    the control: the bytes are there, and recv does not sleep;
 *	timeout  SO_RCVTIMEO ends the wait.  The kernel counts it in ticks, rounds it up, and fires
 *	         at a tick after that;
 *	waitall  MSG_WAITALL waits for all the bytes asked for, unless a timeout, a signal or the
 *	         end of the stream comes first: then it hands over a part;
 *	lowat    SO_RCVLOWAT: poll and a recv that waits want so many bytes; MSG_DONTWAIT does not
 *	         mind.  A trap: Linux wakes a recv only if so many are there that it has not taken
 *	         yet.  One that took a part sleeps on when the rest has come ("recv-rest", which
 *	         only its timeout ends);
 *	flags    MSG_DONTWAIT never waits, MSG_PEEK leaves what it shows.
 *
 * A case is a row of a table: what is there, how recv is called, and what comes late.  All cases
 * of a variant wait at the same time, each in a thread and on a socket of its own.
 */
#include <err.h>
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "net.h"
#include "pattern.h"
#include "span.h"
#include "thread.h"

enum { EMPTY, READY, TIMEOUT, WAITALL, LOWAT, FLAGS, WHOLE = 1000, PART = 400 };
enum { MS = 1000000 /* ns */, SOON_MS = 30, ONCE_NS = 100 * MS, SPINS_NS = 10 * MS };
enum { MAX_REPEATS = 50 };

static const struct variant variants[] = {[EMPTY] = {"empty", "the sender is late"},
					  [READY] = {"ready", "all is there (control)"},
					  [TIMEOUT] = {"timeout", "SO_RCVTIMEO, nothing comes"},
					  [WAITALL] = {"waitall", "MSG_WAITALL, a part is there"},
					  [LOWAT] = {"lowat", "SO_RCVLOWAT, a part is there"},
					  [FLAGS] = {"flags", "MSG_DONTWAIT and MSG_PEEK"},
					  {0}};

static const struct claim claims[] = {
	{"buf-recv-blocks-empty", "recv blocks when the receive buffer is empty", "empty=ready",
	 REFUTED,
	 .why = {[HOLDS] =
			 "recv puts the thread to sleep until the kernel has as many bytes as it wants: one, or SO_RCVLOWAT's, or with MSG_WAITALL all. A timeout, a signal or the end wakes it too, and what is there by then is handed over."}},
	{"tcp-recv-waits", "recv waits until something arrives", "spin", REFUTED},
	{0}};

static const struct row_field fields[] = {
	{"case", "what is there, how recv is called, and what comes late", "case", .text = true,
	 .key = true},
	{"there_bytes", "that are there when recv is called", "already|there"},
	{"comes", "what comes late", "comes", .text = true},
	{"returned_bytes", "of recv; -1: an error", "returned"},
	{"error", "none, EAGAIN, EINTR or other", "error", .text = true},
	{"elapsed_ns", "of the call", "took"},
	{"sleeps", "context switches because it waited", "sleeps"},
	{"cpu_ns", "CPU time of the call", "CPU"},
	{"asked_ns", "SO_RCVTIMEO asked for; 0: none", "timeout|asked"},
	{"granted_ns", "SO_RCVTIMEO as the kernel rounded it; 0: none", "timeout|granted"},
	{"waited",
	 "1: it slept, all of the time but for less than busy_share, and came back with bytes after the sender had begun to send; absent: it slept, and used more"},
	{"again", "1: before, recv with MSG_DONTWAIT said EAGAIN"},
	{"ready_sleeps", "context switches of a call for which all is there", .zero = true,
	 .sham = "ready=empty"},
	{"left_bytes", "in the buffer after the call"},
	{"misplaced_bytes", "handed over at another place than sent", .zero = true,
	 .sham = "disorder"},
	{"after_ns", "from when what comes late was sent to the end of the call; 0: nothing comes"},
	{0}};

static const struct bound bounds[] = {
	{"enough_calls", 3,
	 "each waits for a hundred milliseconds and more: three of three are not chance"},
	{"busy_share", 0.1, "of the call on a CPU: to sleep takes microseconds, to spin all of it"},
	{0}};

static int64_t late_ms = 200;
static int64_t repeats = 10;

static const struct opt opts[] = {{'l', "late", "how late the late sender is", .num = &late_ms,
				   .min = 20, .max = 10000, .quick = 100, .unit = OPT_MS},
				  {'r', "repeats",
				   "timeouts in a row, as far as they fit into 100 ms",
				   .num = &repeats, .min = 1, .max = MAX_REPEATS, .quick = 5},
				  {0}};

/* What comes late: the rest of WHOLE bytes, WHOLE more of them, signals, the end of the stream. */
enum event { NOTHING, REST, MORE, SIGNAL, END };

static const struct one {
	size_t variant;
	const char *name;
	enum net_kind kind;
	int there; /* bytes that are there when recv is called */
	int flags;
	int timeout_ms; /* SO_RCVTIMEO; 0 = none */
	int lowat;      /* SO_RCVLOWAT; 0 = none */
	bool by_poll;   /* poll first: recv comes when it says so */
	enum event event;
} cases[] = {
	{EMPTY, "tcp", NET_TCP, .event = REST},
	{EMPTY, "udp", NET_UDP, .event = REST},
	{EMPTY, "unix-stream", NET_UNIX_STREAM, .event = REST},
	{EMPTY, "unix-dgram", NET_UNIX_DGRAM, .event = REST},
	{READY, "tcp", NET_TCP, WHOLE},
	{READY, "udp", NET_UDP, WHOLE},
	{READY, "unix-stream", NET_UNIX_STREAM, WHOLE},
	{READY, "unix-dgram", NET_UNIX_DGRAM, WHOLE},
	{TIMEOUT, "1-ms", NET_TCP, .timeout_ms = 1},
	{TIMEOUT, "5-ms", NET_TCP, .timeout_ms = 5},
	{TIMEOUT, "10-ms", NET_TCP, .timeout_ms = 10},
	{TIMEOUT, "50-ms", NET_TCP, .timeout_ms = 50},
	{TIMEOUT, "100-ms", NET_TCP, .timeout_ms = 100},
	{WAITALL, "without", NET_TCP, PART, .event = REST},
	{WAITALL, "rest-comes", NET_TCP, PART, MSG_WAITALL, .event = REST},
	{WAITALL, "timeout", NET_TCP, PART, MSG_WAITALL, .timeout_ms = 20},
	{WAITALL, "signal", NET_TCP, PART, MSG_WAITALL, .event = SIGNAL},
	{WAITALL, "end", NET_TCP, PART, MSG_WAITALL, .event = END},
	{WAITALL, "signal-empty", NET_TCP, 0, MSG_WAITALL, .event = SIGNAL},
	{WAITALL, "end-empty", NET_TCP, 0, MSG_WAITALL, .event = END},
	{LOWAT, "recv", NET_TCP, PART, .lowat = WHOLE, .event = MORE},
	{LOWAT, "recv-rest", NET_TCP, PART, .timeout_ms = 100, .lowat = WHOLE, .event = REST},
	{LOWAT, "poll", NET_TCP, PART, .lowat = WHOLE, .by_poll = true, .event = REST},
	{LOWAT, "poll-without", NET_TCP, PART, .by_poll = true, .event = REST},
	{LOWAT, "dontwait", NET_TCP, PART, MSG_DONTWAIT, .lowat = WHOLE},
	{LOWAT, "end", NET_TCP, PART, .lowat = WHOLE, .event = END},
	{FLAGS, "dontwait-empty", NET_TCP, 0, MSG_DONTWAIT},
	{FLAGS, "dontwait", NET_TCP, PART, MSG_DONTWAIT},
	{FLAGS, "peek", NET_TCP, PART, MSG_PEEK},
	{FLAGS, "peek-empty", NET_TCP, 0, MSG_PEEK, .event = REST},
};

enum { CASES = sizeof(cases) / sizeof(cases[0]) };

/* --- one wait --------------------------------------------------------------- */

/* One recv. */
struct called {
	struct span span;
	int64_t sleeps;
};

struct wait {
	const struct one *one;
	struct net_pair fd;
	pthread_t thread;
	atomic_int tid;
	atomic_bool called, done;
	bool spins;         /* a sham */
	int64_t came_ns;    /* when what comes late was about to */
	int64_t granted_ns; /* SO_RCVTIMEO, as the kernel rounded it; 0 = none */
	bool again;         /* before, recv with MSG_DONTWAIT said EAGAIN */
	struct called calls[MAX_REPEATS];
	int64_t calls_n;
	int64_t result, error, left, misplaced; /* of the last one */
};

static int64_t get_timeout(int fd)
{
	struct timeval time = {0};
	socklen_t size = sizeof(time);

	check_fd(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, &size), "SO_RCVTIMEO");
	return time.tv_sec * 1000000000 + time.tv_usec * 1000;
}

static void send_bytes(int fd, int from, int to)
{
	uint8_t buffer[WHOLE];

	if (from == to)
		return;
	pattern_fill(buffer, (size_t)(to - from), (uint64_t)from);
	if (send(fd, buffer, (size_t)(to - from), MSG_NOSIGNAL) != to - from && !run_stopped())
		err(EXIT_USAGE, "send");
}

/* The call under test, stamped by the thread that makes it. */
static void call(struct wait *w)
{
	struct called *c = &w->calls[w->calls_n++];
	struct pollfd ready = {.fd = w->fd.rx, .events = POLLIN};
	uint8_t buffer[WHOLE] = {0};

	c->sleeps = -span_sleeps();
	atomic_store(&w->called, true);
	span_begin(&c->span);
	if (w->one->by_poll)
		poll(&ready, 1, -1);
	do
		w->result = recv(w->fd.rx, buffer, WHOLE,
				 w->one->flags | (w->spins ? MSG_DONTWAIT : 0));
	while (w->spins && w->result < 0 && !run_stopped());
	w->error = w->result < 0 ? errno : 0;
	span_end(&c->span);
	c->sleeps += span_sleeps();
	if (w->result > 0)
		w->misplaced = (int64_t)pattern_misplaced(buffer, (size_t)w->result, 0);
}

static void *wait_for_it(void *argument)
{
	struct wait *w = argument;
	uint8_t byte;

	atomic_store(&w->tid, gettid());
	w->again =
		w->one->there == 0 && recv(w->fd.rx, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
	do
		call(w);
	while (w->one->variant == TIMEOUT && w->calls_n < repeats && !run_stopped() &&
	       (w->calls_n + 1) * w->granted_ns <= ONCE_NS);
	atomic_store(&w->done, true);
	return NULL;
}

static void begin(struct wait *w, const struct one *one, bool spins)
{
	*w = (struct wait){
		.one = one, .fd = net_pair(one->kind, (struct net_ask){0}), .spins = spins};
	if (one->timeout_ms)
		net_set_timeout(w->fd.rx, SO_RCVTIMEO, one->timeout_ms);
	w->granted_ns = get_timeout(w->fd.rx);
	if (one->lowat)
		net_set(w->fd.rx, SOL_SOCKET, SO_RCVLOWAT, one->lowat);
	send_bytes(w->fd.tx, 0, one->there);
	while (net_inq(w->fd.rx) < one->there && run_sleep_until(span_now() + MS))
		;
	check(pthread_create(&w->thread, NULL, wait_for_it, w), "pthread_create");
}

/* The CPU time of its thread so far. */
static int64_t cpu_of(const struct wait *w)
{
	struct timespec used = {0};
	clockid_t clock;

	if (pthread_getcpuclockid(w->thread, &clock) == 0)
		clock_gettime(clock, &used); /* 0: it has ended meanwhile */
	return used.tv_sec * 1000000000 + used.tv_nsec;
}

/*
 * Waits until the call waits: asleep, or on a CPU for long; or until it has returned.  However late
 * a busy machine lets the thread call: what came before could not be waited for.
 */
static void await_wait(const struct wait *w)
{
	while (!atomic_load(&w->called) && run_sleep_until(span_now() + MS))
		;
	while (!atomic_load(&w->done) && thread_state(atomic_load(&w->tid)) != 'S' &&
	       cpu_of(w) < SPINS_NS && run_sleep_until(span_now() + MS))
		;
}

/* Lets come what comes late. */
static void come(struct wait *w)
{
	w->came_ns = span_now();
	if (w->one->event == REST)
		send_bytes(w->fd.tx, w->one->there, WHOLE);
	else if (w->one->event == MORE)
		send_bytes(w->fd.tx, w->one->there, w->one->there + WHOLE);
	else if (w->one->event == END)
		shutdown(w->fd.tx, SHUT_WR);
	while (w->one->event == SIGNAL && !atomic_load(&w->done)) {
		/* again and again: the first one may come before the thread has fallen asleep */
		pthread_kill(w->thread, SIGUSR1);
		if (!run_sleep_until(span_now() + 5000000))
			break;
	}
}

static const char *error_name(int64_t error)
{
	switch (error) {
	case 0:
		return "none";
	case EAGAIN:
		return "EAGAIN";
	case EINTR:
		return "EINTR";
	default:
		return "other";
	}
}

/* What came late, in words. */
static const char *comes(const struct one *one)
{
	static const char *const words[] = {[NOTHING] = "nothing",
					    [REST] = "rest",
					    [MORE] = "more",
					    [SIGNAL] = "signal",
					    [END] = "end"};

	return one->event == REST && !one->there ? "all" : words[one->event];
}

static void record(struct run *run, const struct wait *w)
{
	for (int64_t i = 0; i < w->calls_n; i++) {
		const struct called *c = &w->calls[i];
		struct field told = {NULL}; /* of a call that slept, and was busy, nothing can be */
		bool waited = c->sleeps > 0 && w->result > 0 && c->span.end_ns >= w->came_ns;
		bool busy = (double)c->span.cpu_ns >
			    run_bound(run, "busy_share") * (double)span_wall(&c->span);

		if (run_label(run) == READY)
			told = (struct field){"ready_sleeps", c->sleeps};
		else if (!waited || !busy)
			told = (struct field){"waited", waited};
		run_record(run, (struct field[]){{"case", .text = w->one->name},
						 {"there_bytes", w->one->there},
						 {"asked_ns", (int64_t)w->one->timeout_ms * MS},
						 {"granted_ns", w->granted_ns},
						 {"returned_bytes", w->result},
						 {"error", .text = error_name(w->error)},
						 {"again", w->again},
						 {"left_bytes", w->left},
						 {"misplaced_bytes", w->misplaced},
						 {"after_ns",
						  w->one->event ? c->span.end_ns - w->came_ns : 0},
						 {"elapsed_ns", span_wall(&c->span)},
						 {"cpu_ns", c->span.cpu_ns},
						 {"sleeps", c->sleeps},
						 {"comes", .text = comes(w->one)},
						 told,
						 {0}});
	}
}

/* Whoever still waits when the run is stopped is woken. */
static void finish(struct run *run, struct wait *w)
{
	if (run_stopped())
		shutdown(w->fd.rx, SHUT_RDWR);
	check(pthread_join(w->thread, NULL), "pthread_join");
	w->left = net_inq(w->fd.rx);
	record(run, w);
	net_close(&w->fd);
}

static void measure(struct run *run)
{
	static struct wait waits[CASES];
	bool late = run_variant(run) != READY && run_variant(run) != TIMEOUT;
	size_t n = 0;

	for (size_t i = 0; i < CASES; i++)
		if (cases[i].variant == run_variant(run))
			begin(&waits[n++], &cases[i],
			      run_variant(run) == EMPTY && run_sham(run, "spin"));
	for (size_t i = 0; i < n; i++)
		await_wait(&waits[i]);
	if (late)
		run_sleep_until(span_now() + (run_variant(run) == EMPTY ? late_ms : SOON_MS) * MS);
	for (size_t i = 0; i < n; i++)
		come(&waits[i]);
	for (size_t i = 0; i < n; i++)
		finish(run, &waits[i]);
}

/* --- judge --------------------------------------------------------------- */

/* Each claim reads its evidence itself, so that the library knows what it needs. */
static void judge(struct run *run)
{
	int64_t enough = (int64_t)run_bound(run, "enough_calls");
	const struct field tcp[] = {{"case", .text = "tcp"}, {0}};
	struct share waited = run_nonzero(run, EMPTY, "waited");
	struct share again = run_nonzero(run, EMPTY, "again");

	run_judge(
		run, "buf-recv-blocks-empty",
		all_of(always_happens(waited, enough), always_happens(again, enough)),
		"{waited} calls slept until the sender sent (TCP, UDP and both kinds of AF_UNIX); with MSG_DONTWAIT {again} said EAGAIN instead",
		number_share("waited", waited), number_share("again", again));
	waited = share_nonzero(run_values_where(run, EMPTY, "waited", tcp));
	run_judge(
		run, "tcp-recv-waits", always_happens(waited, enough),
		"{waited} calls slept until the late sender sent: a call took {elapsed_ns}, and {cpu_ns} of CPU time",
		number_share("waited", waited),
		number_real("elapsed_ns",
			    stats_quantile(run_values_where(run, EMPTY, "elapsed_ns", tcp), 0.5)),
		number_real("cpu_ns",
			    stats_quantile(run_values_where(run, EMPTY, "cpu_ns", tcp), 0.5)));
}

static void ignore(int number)
{
	(void)number;
}

static const struct experiment about = {
	.name = "recv",
	.group = "buffers",
	.order = 310,
	.summary = "How long does recv wait, for what, and what does waiting cost?",
	.intro =
		"recv is called for 1,000 bytes: what is there, what comes later, what it returns (medians).",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.variants = variants,
	.trials = 3,
	.quick_trials = 3,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);
	struct sigaction interrupt = {.sa_handler = ignore}; /* no SA_RESTART */

	check_fd(sigaction(SIGUSR1, &interrupt, NULL), "sigaction");
	pattern_disorder(run_sham(run, "disorder"));
	while (run_next(run))
		measure(run);
	return run_end(run);
}
