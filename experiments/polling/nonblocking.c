/* SPDX-License-Identifier: MIT */
/*
 * nonblocking - does a non-blocking call return at once, whatever the state of its socket?
 *
 * Sockets are brought into every state that lets a blocking recv, send, accept or connect wait, or
 * that does not; then the call is made without blocking (MSG_DONTWAIT, SOCK_NONBLOCK).  Whether it
 * returned at once is not a question of time, as any thread can lose its CPU: the kernel counts how
 * often a thread gave its CPU up to wait, and a call in which that count grew has slept.
 *
 * "spin" asks for messages that come only now and then, again and again.  The control, "blocking",
 * waits for them in recv: its calls must be counted as asleep.
 */
#include <err.h>
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "histogram.h"
#include "judge.h"
#include "language.h"
#include "net.h"
#include "span.h"
#include "team.h"
#include "text.h"

enum { NOTHING, DATA, CLOSED, RESET, ROOM, FULL, NOBODY, QUEUE_FULL, REFUSING, STATES };
enum { SPIN = STATES, BLOCKING };

static const struct variant variants[] = {
	[NOTHING] = {"recv-nothing", "recv, and nothing has come"},
	[DATA] = {"recv-data", "recv of data that is there"},
	[CLOSED] = {"recv-closed", "recv, and the peer has closed"},
	[RESET] = {"recv-reset", "recv, and the peer has reset"},
	[ROOM] = {"send-room", "send into a buffer that has room"},
	[FULL] = {"send-full", "send into a full buffer"},
	[NOBODY] = {"accept-nobody", "accept, and nobody has connected"},
	[QUEUE_FULL] = {"connect-full", "connect to one whose queue is full"},
	[REFUSING] = {"connect-refused", "connect where nobody listens"},
	[SPIN] = {"spin", "recv(MSG_DONTWAIT) until a message comes"},
	[BLOCKING] = {"blocking", "a recv that waits for it (control)"},
	{0}};

static const struct claim claims[] = {
	{"poll-nonblocking-returns", "a non-blocking call returns at once whatever the state",
	 "recv-nothing=blocking", REFUTED,
	 .why = {[HOLDS] =
			 "a call that may not wait says EAGAIN or EINPROGRESS instead: when it would be worth asking again, the caller has to find out."}},
	{0}};

static const struct control controls[] = {
	{"blocking-sleeps", "a blocking recv is counted as asleep", "blocking=spin"}, {0}};

static const struct row_field fields[] = {
	{"call", "the function", .text = true},
	{"state", "of its socket", .text = true},
	{"result", "of the last call: ok, or its error", "result", SHOW_TEXT, .text = true},
	{"result_errno", "the same as a number"},
	{"calls", "in a trial", "calls", SHOW_SUM},
	{"call_ns", "of one call, the median of the trial", "p50"},
	{"longest_ns", "the longest call of the trial", "longest", SHOW_MOST},
	{"slept_calls", "in which the thread gave up its CPU to wait", "slept", SHOW_SUM},
	{0}};

static const struct bound bounds[] = {
	{"waits", 0.5,
	 "of the calls in a state: one that lets a call wait lets each; a lock of the kernel's, for which PREEMPT_RT sleeps, is in the way of few"},
	{0}};

static int64_t repeats = 50;

static const struct opt opts[] = {{'n', "repeats", "calls in each state, each on fresh sockets",
				   .num = &repeats, .min = 1, .quick = 10, .max = 10000},
				  {0}};

enum { MESSAGES = 5, GAP_NS = 10000000, LOOPBACK_MS = 1000 };

/* --- sockets in a state ------------------------------------------------------ */

/* recv and accept are called on rx, send and connect on tx. */
struct scene {
	struct net_pair fd;
	struct sockaddr_in where; /* to connect to */
	int filler;               /* connected there, and not accepted; -1 = there is none */
};

static void connected(struct scene *s)
{
	s->fd = net_pair(NET_TCP, (struct net_ask){.sndbuf = 4096});
}

static void wait_readable(const struct scene *s)
{
	struct pollfd readable = {.fd = s->fd.rx, .events = POLLIN};

	if (poll(&readable, 1, LOOPBACK_MS) != 1)
		errx(EXIT_USAGE, "loopback took a second");
}

static void with_data(struct scene *s)
{
	connected(s);
	check_fd((int)send(s->fd.tx, "", 1, 0), "send");
	wait_readable(s);
}

static void closed_by_peer(struct scene *s)
{
	connected(s);
	close(s->fd.tx);
	s->fd.tx = -1;
	wait_readable(s);
}

static void reset_by_peer(struct scene *s)
{
	const struct linger reset = {.l_onoff = 1};

	connected(s);
	check_fd(setsockopt(s->fd.tx, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), "SO_LINGER");
	close(s->fd.tx);
	s->fd.tx = -1;
	wait_readable(s);
}

static void full(struct scene *s)
{
	static const char bytes[1 << 16];

	connected(s);
	while (send(s->fd.tx, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
}

static void bound(struct scene *s)
{
	s->fd.rx = net_bound(SOCK_STREAM | SOCK_NONBLOCK, &s->where);
	s->fd.tx =
		check_fd(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
}

static void listening(struct scene *s)
{
	bound(s);
	check_fd(listen(s->fd.rx, 0), "listen");
}

static void queue_full(struct scene *s)
{
	listening(s);
	s->filler = net_connect(&s->where);
}

static void leave(struct scene *s)
{
	net_close(&s->fd);
	if (s->filler >= 0)
		close(s->filler);
}

/* --- calls: 0, or an error number ---------------------------------------------- */

static int call_recv(const struct scene *s)
{
	char byte;

	return recv(s->fd.rx, &byte, 1, MSG_DONTWAIT) < 0 ? errno : 0;
}

static int call_recv_blocking(const struct scene *s)
{
	char byte;

	return recv(s->fd.rx, &byte, 1, 0) < 0 ? errno : 0;
}

static int call_send(const struct scene *s)
{
	return send(s->fd.tx, "", 1, MSG_DONTWAIT) < 0 ? errno : 0;
}

static int call_accept(const struct scene *s)
{
	return accept4(s->fd.rx, NULL, NULL, SOCK_CLOEXEC) < 0 ? errno : 0;
}

static int call_connect(const struct scene *s)
{
	const struct sockaddr *where = (const struct sockaddr *)&s->where;

	return connect(s->fd.tx, where, sizeof(s->where)) ? errno : 0;
}

static const struct state {
	const char *call, *name;
	void (*bring_about)(struct scene *s);
	int (*make)(const struct scene *s);
} states[] = {
	[NOTHING] = {"recv", MESSAGE("nothing has come"), connected, call_recv},
	[DATA] = {"recv", MESSAGE("data is there"), with_data, call_recv},
	[CLOSED] = {"recv", MESSAGE("the peer has closed"), closed_by_peer, call_recv},
	[RESET] = {"recv", MESSAGE("the peer has reset"), reset_by_peer, call_recv},
	[ROOM] = {"send", MESSAGE("the buffer has room"), connected, call_send},
	[FULL] = {"send", MESSAGE("the buffer is full"), full, call_send},
	[NOBODY] = {"accept", MESSAGE("nobody has connected"), listening, call_accept},
	[QUEUE_FULL] = {"connect", MESSAGE("the queue is full"), queue_full, call_connect},
	[REFUSING] = {"connect", MESSAGE("nobody listens"), bound, call_connect},
	[SPIN] = {"recv", MESSAGE("asked again and again"), connected, call_recv},
	[BLOCKING] = {"recv", MESSAGE("blocking (control)"), connected, call_recv_blocking},
};

/* --- a trial --------------------------------------------------------------- */

struct trial {
	const struct state *state;
	struct scene scene;
	int64_t calls, slept;
	struct histogram took; /* ns */
	int result;            /* of the last call */
};

static void call_once(struct trial *t)
{
	int64_t sleeps = span_sleeps();
	int64_t begin_ns = span_now();

	t->result = t->state->make(&t->scene);
	histogram_add(&t->took, span_now() - begin_ns);
	t->slept += span_sleeps() > sleeps;
	t->calls++;
}

static void call_in_state(struct trial *t)
{
	for (int64_t i = 0; i < repeats && !run_stopped(); i++) {
		t->scene = (struct scene){.filler = -1};
		t->state->bring_about(&t->scene);
		call_once(t);
		leave(&t->scene);
	}
}

static void send_messages(void *argument)
{
	const struct trial *t = argument;

	for (int i = 0; i < MESSAGES && run_sleep_until(span_now() + GAP_NS); i++)
		check_fd((int)send(t->scene.fd.tx, "", 1, 0), "send");
	shutdown(t->scene.fd.tx, SHUT_WR);
}

static void receive_messages(void *argument)
{
	struct trial *t = argument;

	for (int got = 0; got < MESSAGES && !run_stopped(); got += t->result == 0)
		call_once(t);
}

static void call_until_messages_come(struct trial *t)
{
	struct team team;

	t->scene.filler = -1;
	t->state->bring_about(&t->scene);
	team_start_two(&team, TEAM_SPREAD, receive_messages, send_messages, t);
	team_join(&team);
	leave(&t->scene);
}

static void measure(struct run *run, size_t variant)
{
	struct trial t = {.state = &states[variant]};

	if (variant < SPIN)
		call_in_state(&t);
	else
		call_until_messages_come(&t);
	run_record(run, (struct field[]){{"call", .text = t.state->call},
					 {"state", .text = t.state->name},
					 {"result", .text = text_errno(t.result)},
					 {"result_errno", t.result},
					 {"calls", t.calls},
					 {"slept_calls", t.slept},
					 {"call_ns", histogram_quantile(&t.took, 0.5)},
					 {"longest_ns", histogram_quantile(&t.took, 1)},
					 {0}});
}

/* --- judge --------------------------------------------------------------- */

static void judge(struct run *run)
{
	enum verdict each[BLOCKING];
	struct share all = {0}, waits;
	double longest = 0;

	for (size_t v = 0; v < BLOCKING; v++) {
		struct share slept = run_part(run, v, "slept_calls", "calls");

		each[v] = share_below(slept, run_bound(run, "waits"));
		all = share_add(all, slept);
		longest = fmax(longest, stats_quantile(run_values(run, v, "longest_ns"), 1));
	}
	run_judge(
		run, "poll-nonblocking-returns", verdict_all(each, BLOCKING),
		"{slept} calls slept, in {states} states and spinning; the longest took {longest_ns}",
		number_share("slept", all), number_int("states", STATES),
		number_real("longest_ns", longest));
	waits = run_part(run, BLOCKING, "slept_calls", "calls");
	run_check(
		run, "blocking-sleeps", always_happens(share_of(waits.k > 0, waits.n > 0), 1),
		"{slept} calls of the blocking recv slept: if none does, that others did not proves nothing",
		number_share("slept", waits));
}

static const struct experiment about = {
	.name = "nonblocking",
	.group = "polling",
	.order = 501,
	.summary = "Does a non-blocking call return at once, whatever the state of its socket?",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.controls = controls,
	.opts = opts,
	.variants = variants,
	.trials = 3,
	.quick_trials = 1,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	while (run_next(run))
		measure(run, run_variant(run));
	return run_end(run);
}
