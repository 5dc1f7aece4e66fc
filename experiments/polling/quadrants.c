/* SPDX-License-Identifier: MIT */
/* needs: liburing */
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
#include <liburing.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "histogram.h"
#include "judge.h"
#include "messages.h"
#include "net.h"
#include "span.h"
#include "team.h"
#include "thread.h"

enum { RECV, SPIN, EPOLL, SIGNAL, URING, WORK, VARIANTS };

/* How a thread gets messages between two slices of work, and the quadrant that the claim expects. */
struct way {
	enum { WORKS, RECEIVES, WAITS_FOR_EVENTS, HAS_SIGNALS, ORDERS } how;
	int flags; /* of recv */
	bool waits, told;
};

static const struct variant variants[] = {
	[RECV] = {"recv", "a blocking recv", &(struct way){RECEIVES, 0, true, false}},
	[SPIN] = {"spin", "recv(MSG_DONTWAIT) until there is something",
		  &(struct way){RECEIVES, MSG_DONTWAIT, false, false}},
	[EPOLL] = {"epoll", "epoll_wait, and recv when it says so",
		   &(struct way){WAITS_FOR_EVENTS, MSG_DONTWAIT, true, true}},
	[SIGNAL] = {"sigio", "a signal says that recv is worth it",
		    &(struct way){HAS_SIGNALS, MSG_DONTWAIT, false, true}},
	[URING] = {"io_uring", "a recv that the kernel does by itself",
		   &(struct way){ORDERS, 0, false, true}},
	[WORK] = {"work", "no look at the socket (control)", &(struct way){WORKS}},
	{0}};

static const struct claim claims[] = {
	{"poll-four-quadrants",
	 "blocking or not (does the call return at once?) and synchronous or asynchronous (who notices completion?) are independent: all four combinations exist",
	 "*=recv", NOT_SEEN,
	 .why = {[HOLDS] =
			 "blocking is about the call: does the thread sleep in it? Asynchronous is about the message: the kernel notes that it came, whether the thread sleeps until then (epoll_wait) or works (a signal, a completion)."}},
	{0}};

static const struct control controls[] = {
	{"work-is-awake", "a thread that only works is not seen asleep", "work=recv"}, {0}};

static const struct row_field fields[] = {
	{"asleep_looks", "of the looks: it was asleep (S or D)", "state|S", SHOW_SUM, "looks"},
	{"slices", "slices of other work that it did", "work|done", SHOW_RATIO, "elapsed_ns",
	 "work"},
	{"call_ns", "of a call that looks or waits for a message, p50", "a call|takes"},
	{"calls", "system calls for messages", "calls a|message", SHOW_SUM, "got_messages"},
	{"told_messages",
	 "of got_messages: those that an event, a signal or a completion told of before",
	 "kernel|says so", SHOW_SUM, "got_messages"},
	{"p50_ns", "from before send until the thread has the message, the messages' median",
	 "latency|p50"},
	{"longest_ns", "of the calls that look or wait for a message, the longest"},
	{"looks", "of another thread at its state in /proc; of who waits, while it did not work"},
	{"sleeps", "context switches of its own will"},
	{"wasted_calls", "of the calls: recv that said EAGAIN"},
	{"elapsed_ns", "of the receiver"},
	{"cpu_ns", "CPU time of the receiver's thread"},
	{"sent_messages", "messages to be sent; 0 if nobody looks for them"},
	{"got_messages", "messages received"},
	{"missing_messages", "messages that did not arrive", .zero = true, .sham = "recv=work"},
	{"misplaced_messages", "messages that arrived changed or out of order", .zero = true,
	 .sham = "garble"},
	{0}};

static const struct bound bounds[] = {
	{"waits_share", 0.65, "who waits is asleep nearly all the time: its work takes us"},
	{"goes_on_share", 0.35, "who goes on is never asleep but by the scheduler's fault"},
	{"enough_messages", 8, "what tells of 8 messages, or of none of 8, does so by rule"},
	{0}};

static int64_t messages = 8;
static int64_t gap_ms = 14;

static const struct opt opts[] = {
	{'n', "messages", "of a trial", .num = &messages, .min = 1, .quick = 4, .max = 1000},
	{'g', "gap", "time before each message", .num = &gap_ms, .min = 2, .quick = 10, .max = 500,
	 .unit = OPT_MS},
	{0}};

enum { SLICE = 4096 }; /* turns of the work between two looks */

static const int64_t look_ns = 500000; /* between two looks at the thread's state */

/* One trial.  The sender's thread needs the first ones, the watcher the next four; the rest is the
 * receiver's. */
struct trial {
	struct messages messages;
	bool garbles; /* a sham */

	atomic_int tid; /* of the receiver, once it has begun; -1 when it has ended */
	atomic_bool works;
	int64_t looks, asleep;

	const struct way *way;
	int64_t told;          /* messages that something told of before they were taken */
	int64_t calls, wasted; /* system calls for messages; of these, those that said EAGAIN */
	struct histogram took; /* ns: those that look for a message, or wait for it */
	int64_t sleeps, slices;
	uint64_t worked;
	int signals; /* that it has looked after */
	int epoll;
	struct io_uring ring;
};

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
	const struct trial *t = argument;

	if (t->garbles && send(t->messages.fd.tx, "?", 1, 0) != 1)
		err(EXIT_USAGE, "send");
	messages_send(&t->messages);
}

/* At work a thread that waits says nothing of its call, and a machine that stands still keeps it there. */
static bool tells(const struct trial *t)
{
	return !t->way->waits || !atomic_load(&t->works);
}

/* A look counts only if the thread was there before and after it. */
static void watch(struct trial *t)
{
	int tid;

	while ((tid = atomic_load(&t->tid)) >= 0) {
		char state = '?';

		if (tid && tells(t))
			state = thread_state(tid);
		if (state != '?' && atomic_load(&t->tid) == tid && tells(t)) {
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

	atomic_store(&t->works, true);
	for (int i = 0; i < SLICE; i++)
		x = x * 6364136223846793005U + 1442695040888963407U;
	t->worked = x;
	t->slices++;
	atomic_store(&t->works, false);
}

/* A call that looks or waits for a message. */
static void count_call(struct trial *t, int64_t begin_ns)
{
	t->calls++;
	histogram_add(&t->took, span_now() - begin_ns);
}

/* Whether there is an event. */
static bool wait_epoll(struct trial *t)
{
	struct epoll_event event;
	int64_t begin_ns = span_now();
	int n = check_fd(epoll_wait(t->epoll, &event, 1, -1), "epoll_wait");

	count_call(t, begin_ns);
	return n == 1 && event.events & EPOLLIN;
}

/* Hands the kernel a recv, which it does when there is something. */
static void order_recv(struct trial *t)
{
	struct iovec room = messages_room(&t->messages);
	int64_t begin_ns = span_now();
	int submitted;

	io_uring_prep_recv(io_uring_get_sqe(&t->ring), t->messages.fd.rx, room.iov_base,
			   room.iov_len, 0);
	submitted = io_uring_submit(&t->ring);
	check(submitted < 0 ? -submitted : 0, "io_uring_submit");
	count_call(t, begin_ns);
}

/* No system call: it looks into memory, where the kernel writes meanwhile. */
static void take_completion(struct trial *t)
{
	struct io_uring_cqe *done;

	if (io_uring_peek_cqe(&t->ring, &done) != 0)
		return;
	check(done->res < 0 ? -done->res : 0, "recv by io_uring");
	t->told += messages_take(&t->messages, (size_t)done->res);
	io_uring_cqe_seen(&t->ring, done);
	if (messages_left(&t->messages))
		order_recv(t);
}

static void look(struct trial *t)
{
	int fresh = atomic_load(&signals) - t->signals;
	bool told = fresh > 0;
	int64_t begin_ns;
	int64_t n;

	if (t->way->how == ORDERS)
		take_completion(t);
	if (t->way->how == WORKS || t->way->how == ORDERS || (t->way->how == HAS_SIGNALS && !told))
		return;
	t->signals += fresh;
	if (t->way->how == WAITS_FOR_EVENTS)
		told = wait_epoll(t);
	begin_ns = span_now();
	n = messages_recv(&t->messages, t->way->flags);
	if (t->way->how == WAITS_FOR_EVENTS)
		t->calls++; /* what waits is epoll_wait */
	else
		count_call(t, begin_ns);
	t->wasted += n < 0;
	t->told += told && n > 0 ? n : 0;
}

/* From now on this thread gets a signal whenever something comes; of what is there it gets none. */
static void ask_for_signals(struct trial *t)
{
	const struct f_owner_ex me = {F_OWNER_TID, gettid()};
	int fd = t->messages.fd.rx;
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
	bool works = t->way->how == WORKS;

	t->signals = atomic_load(&signals);
	if (t->way->how == HAS_SIGNALS)
		ask_for_signals(t);
	if (t->way->how == ORDERS)
		order_recv(t);
	t->sleeps = -span_sleeps();
	atomic_store(&t->tid, gettid());
	while (works ? span_now() < end_ns && !run_stopped() : messages_left(&t->messages)) {
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
	if (t->way->how == ORDERS)
		check(-io_uring_queue_init(1, &t->ring, 0), "io_uring_queue_init");
	if (t->way->how == WAITS_FOR_EVENTS) {
		t->epoll = check_fd(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
		check_fd(epoll_ctl(t->epoll, EPOLL_CTL_ADD, t->messages.fd.rx, &readable),
			 "epoll_ctl");
	}
}

static void measure(struct run *run)
{
	struct trial t = {.way = run_how(run), .garbles = run_sham(run, "garble")};
	const struct messages *m = &t.messages;
	int64_t sent = run_label(run) == WORK ? 0 : messages;
	struct team team;
	struct span own;

	prepare(&t);
	team_start_two(&team, TEAM_SPREAD, receive_messages, send_messages, &t);
	watch(&t);
	team_join(&team);
	own = team.members[0].span;
	run_record(run, (struct field[]){{"elapsed_ns", span_wall(&own)},
					 {"cpu_ns", own.cpu_ns},
					 {"slices", t.slices},
					 {"looks", t.looks},
					 {"asleep_looks", t.asleep},
					 {"sleeps", t.sleeps},
					 {"calls", t.calls},
					 {"wasted_calls", t.wasted},
					 {"sent_messages", sent},
					 {"got_messages", m->got},
					 {"told_messages", t.told},
					 {"missing_messages", sent - m->got},
					 {"misplaced_messages", m->misplaced},
					 /* without messages the row ends here */
					 {m->got ? "p50_ns" : NULL, messages_late(m, 0.5)},
					 {"call_ns", histogram_quantile(&t.took, 0.5)},
					 {"longest_ns", histogram_quantile(&t.took, 1)},
					 {0}});
	if (t.way->how == ORDERS)
		io_uring_queue_exit(&t.ring);
	if (t.way->how == WAITS_FOR_EVENTS)
		close(t.epoll);
	messages_end(&t.messages);
}

/* --- judge --------------------------------------------------------------- */

static struct share asleep(struct run *run, size_t v)
{
	return run_part(run, v, "asleep_looks", "looks");
}

static struct share told(struct run *run, size_t v)
{
	return run_part(run, v, "told_messages", "got_messages");
}

/* Whether a way is where the claim expects it: asleep or not, told of all messages or of none. */
static enum verdict in_quadrant(struct run *run, size_t v)
{
	const struct way *way = variants[v].how;
	int64_t enough = (int64_t)run_bound(run, "enough_messages");

	return all_of(way->waits ? share_above(asleep(run, v), run_bound(run, "waits_share"))
				 : share_below(asleep(run, v), run_bound(run, "goes_on_share")),
		      way->told ? always_happens(told(run, v), enough)
				: never_happens(told(run, v), enough));
}

static void judge(struct run *run)
{
	const enum verdict quadrants[] = {
		in_quadrant(run, RECV), in_quadrant(run, EPOLL), in_quadrant(run, SPIN),
		any_of(in_quadrant(run, SIGNAL), in_quadrant(run, URING))};
	int64_t combinations = 0;

	for (size_t i = 0; i < 4; i++)
		combinations += quadrants[i] == HOLDS;
	run_judge(
		run, "poll-four-quadrants", or_not_seen(verdict_all(quadrants, 4)),
		"{combinations} of 4 combinations were shown. Asleep in {recv_asleep.share} of the looks with recv, {epoll_asleep.share} with epoll, {spin_asleep.share} with spin and {sigio_asleep.share} with sigio; the kernel had announced {recv_told}, {epoll_told}, {spin_told} and {sigio_told} messages; spin got EAGAIN from {wasted} calls",
		number_int("combinations", combinations),
		number_share("recv_asleep", asleep(run, RECV)),
		number_share("epoll_asleep", asleep(run, EPOLL)),
		number_share("spin_asleep", asleep(run, SPIN)),
		number_share("sigio_asleep", asleep(run, SIGNAL)),
		number_share("uring_asleep", asleep(run, URING)),
		number_share("recv_told", told(run, RECV)),
		number_share("epoll_told", told(run, EPOLL)),
		number_share("spin_told", told(run, SPIN)),
		number_share("sigio_told", told(run, SIGNAL)),
		number_share("uring_told", told(run, URING)),
		number_share("wasted", run_part(run, SPIN, "wasted_calls", "calls")));
	run_check(run, "work-is-awake",
		  share_below(asleep(run, WORK), run_bound(run, "goes_on_share")),
		  "it was asleep in {asleep} looks: its state shows nothing",
		  number_share("asleep", asleep(run, WORK)));
}

static const struct experiment about = {
	.name = "quadrants",
	.group = "polling",
	.order = 503,
	.summary = "Does the call wait, and who notices that a message has come?",
	.intro =
		"{messages} messages a trial, one each {gap_ms}, to a thread that has other work to do. Its state is what another thread read from /proc; the work done is compared with a thread that only works.",
	.claims = claims,
	.controls = controls,
	.opts = opts,
	.variants = variants,
	.fields = fields,
	.bounds = bounds,
	.trials = 5,
	.quick_trials = 2,
	.timed = true,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);
	const struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	struct io_uring ring;
	int error = -io_uring_queue_init(1, &ring, 0);

	if (error)
		run_leave_out(run, URING, "no io_uring: %s", strerror(error));
	else
		io_uring_queue_exit(&ring);
	check_fd(sigaction(SIGRTMIN + 1, &action, NULL), "sigaction");
	check_fd(sigaction(SIGIO, &action, NULL), "sigaction"); /* if its queue were full */
	while (run_next(run))
		measure(run);
	return run_end(run);
}
