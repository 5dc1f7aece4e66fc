/* SPDX-License-Identifier: MIT */
/*
 * short_send - how much of its bytes does send take, and what does a signal do to a waiting call?
 *
 * One send of more than the buffers hold, then a loop for the rest (what Python calls sendall):
 *
 *	nonblock        a non-blocking socket: what fits;
 *	block           a blocking socket with a receiver: everything;
 *	sndtimeo        a blocking socket without one, until SO_SNDTIMEO cuts it;
 *	signal          the same until a signal does;
 *	signal-restart  SA_RESTART does not help: some bytes were taken, and send says how many.
 *
 * From then on there is a receiver, and in the last two signals keep coming; the loop must get
 * every byte across.
 *
 * A call that waits and has done nothing yet is another matter: it fails with EINTR, or goes on if
 * the handler was installed with SA_RESTART, unless the socket has a timeout (signal(7)).  recv,
 * accept and connect are tried in C, recv and connect in every CPython found (PEP 475).
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "net.h"
#include "pattern.h"
#include "python.h"
#include "span.h"
#include "text.h"
#include "thread.h"

enum { NONBLOCK, BLOCK, SNDTIMEO, SIGNAL, SIGNAL_RESTART, SENDS };
enum {
	RECV = SENDS,
	RECV_RESTART,
	RECV_TIMEOUT,
	ACCEPT,
	ACCEPT_RESTART,
	CONNECT,
	CONNECT_RESTART,
	PYTHON,
	VARIANTS
};
enum { LATE = 10, PAGE = 16 << 10, QUEUED = 3 };

static const int64_t MS = 1000000; /* ns */

static struct variant variants[VARIANTS + 1] = {
	[NONBLOCK] = {"nonblock", "send to a non-blocking socket"},
	[BLOCK] = {"block", "send to a blocking socket with a receiver (control)"},
	[SNDTIMEO] = {"sndtimeo", "send that SO_SNDTIMEO cuts"},
	[SIGNAL] = {"signal", "send that a signal cuts"},
	[SIGNAL_RESTART] = {"signal-restart", "send that a signal cuts, with SA_RESTART"},
	[RECV] = {"recv", "recv and a signal"},
	[RECV_RESTART] = {"recv-restart", "recv and a signal with SA_RESTART"},
	[RECV_TIMEOUT] = {"recv-timeout", "the same with SO_RCVTIMEO set"},
	[ACCEPT] = {"accept", "accept and a signal"},
	[ACCEPT_RESTART] = {"accept-restart", "accept and a signal with SA_RESTART"},
	[CONNECT] = {"connect", "connect and a signal"},
	[CONNECT_RESTART] = {"connect-restart", "connect and a signal with SA_RESTART"},
	[PYTHON] = {"python", "recv and connect in each CPython found"},
	{0}};

static const struct claim claims[] = {
	{"tcp-send-short",
	 "send may take fewer bytes than given; sendall (a loop) sends everything"},
	{"tcp-eintr",
	 "since Python 3.5 an interrupted connect/recv is resumed; in C the program must do that "
	 "itself"},
	{0}};

static int64_t total = 1 << 20;
static int64_t buffers = 64 << 10;
static int64_t timeout_ms = 20;
static const char *python_list;

static const struct opt opts[] = {
	{'n', "total", "what one send is given, more than the buffers hold", .num = &total,
	 .min = 512 << 10, .max = 1 << 28, .unit = OPT_BYTES},
	{'b', "buffers", "SO_SNDBUF and SO_RCVBUF to ask for", .num = &buffers, .min = 4096,
	 .max = 64 << 10, .unit = OPT_BYTES},
	{0, "timeout", "SO_SNDTIMEO of sndtimeo", .num = &timeout_ms, .min = 1, .max = 500,
	 .unit = OPT_MS},
	{0, "python", "CPython interpreters, with commas (default: all found)",
	 .text = &python_list, .metavar = "PATH"},
	{0}};

static const struct experiment about = {
	.name = "short_send",
	.group = "tcp",
	.summary = "How much does send take, and what does a signal do to a call that waits?",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.trials = 6,
	.quick_trials = 1,
};

static struct python pythons[PYTHONS];
static size_t pythons_n;
static const char *no_python = "no CPython was found";

/* --- signals --------------------------------------------------------------- */

static atomic_int handled; /* signals */

static void handle(int number)
{
	(void)number;
	atomic_fetch_add(&handled, 1);
}

static void install(bool restart)
{
	struct sigaction action = {.sa_handler = handle, .sa_flags = restart ? SA_RESTART : 0};

	check_fd(sigaction(SIGUSR1, &action, NULL), "sigaction");
}

/* A thread that makes one call, is interrupted in it, and then does what its program should. */
struct victim {
	size_t variant;
	struct net_pair fd; /* of sends and recv; of accept and connect rx listens */
	struct sockaddr_in where;
	pthread_t thread;
	atomic_int tid; /* once it is about to call */
	atomic_bool returned;
	int64_t result; /* of the call: bytes, a descriptor, or -errno */
	int64_t begin_ns, end_ns;
	uint8_t *buffer;
	int64_t sent, calls, short_calls, interrupted_calls; /* of all sends together */
	int64_t last; /* what the call returned in the end, when it was made again after EINTR */
};

static bool is_restart(size_t variant)
{
	return variant == SIGNAL_RESTART || variant == RECV_RESTART || variant == RECV_TIMEOUT ||
	       variant == ACCEPT_RESTART || variant == CONNECT_RESTART;
}

static int64_t result(int64_t n)
{
	return n < 0 ? -errno : n;
}

/* Says that the call comes next. */
static void enter(struct victim *v)
{
	v->begin_ns = span_now();
	atomic_store(&v->tid, (int)syscall(SYS_gettid));
}

static void leave(struct victim *v, int64_t n)
{
	v->result = result(n);
	v->end_ns = span_now();
	atomic_store(&v->returned, true);
}

/* Waits until it sleeps in its call, or has come back from it. */
static void wait_asleep(const struct victim *v)
{
	int seen = 0;

	while (seen < 3 && !atomic_load(&v->returned) && run_sleep_until(span_now() + MS / 2))
		seen = thread_state(atomic_load(&v->tid)) == 'S' ? seen + 1 : 0;
}

/* Waits up to so long for its call to come back; true if it did. */
static bool wait_returned(const struct victim *v, int64_t ns)
{
	int64_t deadline_ns = span_now() + ns;

	while (!atomic_load(&v->returned) && span_now() < deadline_ns)
		run_sleep_until(span_now() + MS / 4);
	return atomic_load(&v->returned);
}

/*
 * Interrupts its call, and waits until that has come back, or sleeps again after the handler ran.
 * True if it sleeps again.
 */
static bool interrupt(const struct victim *v)
{
	int64_t deadline_ns = span_now() + 100 * MS; /* a sanitizer may hold the handler back */

	wait_asleep(v);
	pthread_kill(v->thread, SIGUSR1);
	while (atomic_load(&handled) == 0 && !atomic_load(&v->returned) && span_now() < deadline_ns)
		run_sleep_until(span_now() + MS / 4);
	wait_asleep(v);
	return !atomic_load(&v->returned);
}

/* --- sends ----------------------------------------------------------------- */

/* The rest of the bytes: what a program has to do around send. */
static void send_rest(struct victim *v)
{
	struct pollfd ready = {v->fd.tx, POLLOUT, 0};

	while (v->sent < total && !run_stopped()) {
		ssize_t n = send(v->fd.tx, v->buffer + v->sent, (size_t)(total - v->sent),
				 MSG_NOSIGNAL);

		v->calls++;
		v->short_calls += n >= 0 && n < total - v->sent;
		v->interrupted_calls += n < 0 && errno == EINTR;
		if (n >= 0)
			v->sent += n;
		else if (errno == EAGAIN)
			poll(&ready, 1, 1000); /* whatever it says, send will tell */
		else if (errno != EINTR)
			err(EXIT_USAGE, "send");
	}
}

static void *sender(void *argument)
{
	struct victim *v = argument;
	int64_t n;

	enter(v);
	n = send(v->fd.tx, v->buffer, (size_t)total, MSG_NOSIGNAL);
	leave(v, n);
	v->calls = 1;
	v->short_calls = n >= 0 && n < total;
	v->interrupted_calls = v->result == -EINTR;
	v->sent = n > 0 ? n : 0;
	send_rest(v);
	shutdown(v->fd.tx, SHUT_WR);
	return NULL;
}

/* Receives until the end, with a signal to the sender after each page if asked for. */
static int64_t receive_all(struct victim *v, bool signals, int64_t *misplaced)
{
	uint8_t page[PAGE];
	int64_t received = 0;
	ssize_t n;

	while ((n = recv(v->fd.rx, page, PAGE, 0)) > 0) {
		*misplaced += (int64_t)pattern_misplaced(page, (size_t)n, (uint64_t)received);
		received += n;
		if (signals)
			pthread_kill(v->thread, SIGUSR1); /* which may have ended: no matter */
	}
	return received;
}

static void measure_send(struct run *run)
{
	struct victim v = {.variant = run_variant(run), .buffer = malloc((size_t)total)};
	struct timeval timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
	bool signals = v.variant >= SIGNAL;
	int64_t misplaced = 0, received;

	if (!v.buffer)
		err(EXIT_USAGE, "malloc");
	pattern_fill(v.buffer, (size_t)total, 0);
	v.fd = net_pair(NET_TCP, (struct net_ask){buffers, buffers, NULL});
	if (v.variant == NONBLOCK)
		check_fd(fcntl(v.fd.tx, F_SETFL, O_NONBLOCK), "fcntl");
	if (v.variant == SNDTIMEO)
		check_fd(setsockopt(v.fd.tx, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)),
			 "SO_SNDTIMEO");
	install(is_restart(v.variant));
	check(pthread_create(&v.thread, NULL, sender, &v), "pthread_create");
	if (signals) {
		wait_asleep(&v);
		pthread_kill(v.thread, SIGUSR1);
	}
	if (v.variant != BLOCK)
		wait_returned(&v, 800 * MS);
	received = receive_all(&v, signals, &misplaced);
	check(pthread_join(v.thread, NULL), "pthread_join");
	run_record(run, (struct field[]){{"given_bytes", total},
					 {"result", v.result},
					 {"call_ns", v.end_ns - v.begin_ns},
					 {"calls", v.calls},
					 {"short_calls", v.short_calls},
					 {"interrupted_calls", v.interrupted_calls},
					 {"missing_bytes", total - received},
					 {"misplaced_bytes", misplaced},
					 {"elapsed_ns", span_now() - v.begin_ns},
					 {0}});
	net_close(&v.fd);
	free(v.buffer);
}

/* --- calls that have done nothing yet -------------------------------------- */

static int64_t call(struct victim *v, uint8_t late[LATE])
{
	switch (v->variant) {
	case ACCEPT:
	case ACCEPT_RESTART:
		return accept4(v->fd.rx, NULL, NULL, SOCK_CLOEXEC);
	case CONNECT:
	case CONNECT_RESTART:
		return connect(v->fd.tx, (struct sockaddr *)&v->where, sizeof(v->where));
	default:
		return recv(v->fd.rx, late, LATE, 0);
	}
}

static void *waiter(void *argument)
{
	struct victim *v = argument;
	uint8_t late[LATE];
	int64_t n;

	enter(v);
	n = call(v, late);
	leave(v, n);
	v->last = v->result;
	if (v->variant >= CONNECT) /* goes on by itself: poll would tell when it is done */
		return NULL;
	while (v->last == -EINTR)
		v->last = result(call(v, late));
	if (v->variant < ACCEPT && (v->last != LATE || pattern_misplaced(late, LATE, 0)))
		v->last = -EBADMSG;
	if (v->variant >= ACCEPT && v->last >= 0)
		close((int)v->last);
	return NULL;
}

/* What its call waits for, at last; a connect that goes on waiting is ended by another signal. */
static void let_go(struct victim *v, const int queued[QUEUED])
{
	uint8_t late[LATE];

	if (v->variant < ACCEPT) {
		pattern_fill(late, LATE, 0);
		if (send(v->fd.tx, late, LATE, MSG_NOSIGNAL) != LATE)
			err(EXIT_USAGE, "send");
	} else if (v->variant < CONNECT) {
		v->fd.tx = net_connect(&v->where);
	} else {
		install(false);
		while (!wait_returned(v, 10 * MS))
			pthread_kill(v->thread, SIGUSR1);
		for (int i = 0; i < QUEUED; i++)
			close(queued[i]);
	}
}

static void prepare(struct victim *v, int queued[QUEUED])
{
	struct timeval timeout = {.tv_sec = 10}; /* far longer than it waits */

	if (v->variant < ACCEPT) {
		v->fd = net_pair(NET_TCP, (struct net_ask){0});
	} else {
		v->fd = (struct net_pair){-1, net_listen(0, &v->where)};
	}
	if (v->variant == RECV_TIMEOUT)
		check_fd(setsockopt(v->fd.rx, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)),
			 "SO_RCVTIMEO");
	if (v->variant < CONNECT)
		return;
	for (int i = 0; i < QUEUED; i++) { /* the queue of the listener has room for one */
		queued[i] = check_fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
				     "socket");
		if (connect(queued[i], (struct sockaddr *)&v->where, sizeof(v->where)) != 0 &&
		    errno != EINPROGRESS)
			err(EXIT_USAGE, "connect");
	}
	v->fd.tx = check_fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
}

static void measure_call(struct run *run)
{
	struct victim v = {.variant = run_variant(run)};
	int queued[QUEUED] = {0};
	bool resumed;

	atomic_store(&handled, 0);
	prepare(&v, queued);
	install(is_restart(v.variant));
	check(pthread_create(&v.thread, NULL, waiter, &v), "pthread_create");
	resumed = interrupt(&v);
	let_go(&v, queued);
	check(pthread_join(v.thread, NULL), "pthread_join");
	if (v.variant < CONNECT) /* of a connect the second signal hides it */
		resumed = v.result != -EINTR;
	run_record(run, (struct field[]){{"resumed", resumed},
					 {"eintr", !resumed && v.result == -EINTR},
					 {"handled", atomic_load(&handled)},
					 {"completed", v.variant >= CONNECT || v.last >= 0},
					 {"call_ns", v.end_ns - v.begin_ns},
					 {"elapsed_ns", span_now() - v.begin_ns},
					 {0}});
	net_close(&v.fd);
}

/* --- Python ---------------------------------------------------------------- */

/* All interpreters at once: they sleep most of the time. */
static void measure_python(struct run *run, const char *script)
{
	const char *const none[] = {NULL};
	struct python_child children[PYTHONS];
	int64_t begin_ns = span_now();

	for (size_t i = 0; i < pythons_n; i++)
		children[i] = python_start(&pythons[i], script, none);
	for (size_t i = 0; i < pythons_n; i++) {
		char text[64];
		bool whole =
			python_read_line(&children[i], text, sizeof(text), begin_ns + 60000 * MS);
		char *rest = text;
		const char *recv = strsep(&rest, " ");
		const char *connect = strsep(&rest, "\n");

		python_end(&children[i]);
		if (run_stopped())
			continue;
		if (!whole || !connect)
			errx(EXIT_USAGE, "CPython %s: %s failed", pythons[i].name, script);
		run_record(run,
			   (struct field[]){{"python", .text = pythons[i].name},
					    {"version", pythons[i].major * 100 + pythons[i].minor},
					    {"recv", .text = recv},
					    {"connect", .text = connect},
					    {"recv_resumed", strcmp(recv, "resumed") == 0},
					    {"connect_resumed", strcmp(connect, "resumed") == 0},
					    {"recv_eintr", strcmp(recv, "EINTR") == 0},
					    {"connect_eintr", strcmp(connect, "EINTR") == 0},
					    {"elapsed_ns", span_now() - begin_ns},
					    {0}});
	}
}

/* --- report ---------------------------------------------------------------- */

/* "4 of 4" */
static const char *of(struct values values)
{
	return text_format("%zu of %zu", stats_nonzero(values), values.n);
}

static void print_sends(struct run *run)
{
	FILE *out = run_out(run);

	fprintf(out, "  %-15s %16s %10s %14s %19s\n", "", "first send took", "within",
		"sends in all", "bytes that arrived");
	for (size_t v = 0; v < SENDS; v++)
		if (run_selected(run, v)) {
			double took = run_median(run, v, "result");

			fprintf(out, "  %-15s %16s %10s %14.0f %19s\n", variants[v].name,
				took >= 0 ? text_count((int64_t)took) : "an error",
				text_time(run_median(run, v, "call_ns")),
				run_median(run, v, "calls"),
				text_count(total - (int64_t)run_median(run, v, "missing_bytes")));
		}
	fputs("\n", out);
}

static void print_calls(struct run *run)
{
	FILE *out = run_out(run);

	fprintf(out, "  %-15s %16s %10s %14s\n", "a signal in C", "failed: EINTR", "resumed",
		"then came");
	for (size_t v = RECV; v < PYTHON; v++)
		if (run_selected(run, v))
			fprintf(out, "  %-15s %16s %10s %14s\n", variants[v].name,
				of(run_values(run, v, "eintr")), of(run_values(run, v, "resumed")),
				v >= CONNECT ? "" : of(run_values(run, v, "completed")));
	fputs("\n", out);
}

/* "3.9 to 3.13": the versions of these samples that have 1 in a field. */
static const char *versions(struct run *run, const char *field)
{
	struct values version = run_values(run, PYTHON, "version");
	struct values is = run_values(run, PYTHON, field);
	int64_t low = 0, high = 0;

	for (size_t i = 0; i < is.n; i++)
		if (is.at[i]) {
			low = low == 0 || version.at[i] < low ? version.at[i] : low;
			high = version.at[i] > high ? version.at[i] : high;
		}
	if (low == 0)
		return "none";
	return low == high ? text_format("%lld.%lld", (long long)low / 100, (long long)low % 100)
			   : text_format("%lld.%lld to %lld.%lld", (long long)low / 100,
					 (long long)low % 100, (long long)high / 100,
					 (long long)high % 100);
}

static void judge_send(struct run *run)
{
	size_t lost = 0, trials = 0, cuts = 0, cut = 0;
	struct values whole = run_values(run, BLOCK, "short_calls");
	double calls = 0, brief = 0;

	for (size_t v = 0; v < SENDS; v++) {
		struct values result = run_values(run, v, "result");
		size_t wrong = stats_nonzero(run_values(run, v, "missing_bytes")) +
			       stats_nonzero(run_values(run, v, "misplaced_bytes"));

		run_control(run, wrong == 0,
			    "%s: the loop lost or changed bytes in %zu of %zu trials",
			    variants[v].name, wrong, result.n);
		lost += wrong;
		trials += result.n;
		calls += stats_sum(run_values(run, v, "calls"));
		brief += stats_sum(run_values(run, v, "short_calls"));
		for (size_t i = 0; v != BLOCK && i < result.n; i++)
			cut += result.at[i] >= 0 && result.at[i] < total;
		cuts += v == BLOCK ? 0 : result.n;
	}
	if (trials == 0)
		return;
	run_verdict(run, "tcp-send-short",
		    lost  ? REFUTED
		    : cut ? HOLDS
			  : NOT_SEEN,
		    (struct field[]){{"short_first_sends", (int64_t)cut},
				     {"first_sends", (int64_t)cuts},
				     {"blocking_whole", (int64_t)(whole.n - stats_nonzero(whole))},
				     {"blocking_sends", (int64_t)whole.n},
				     {"sends", (int64_t)calls},
				     {"short_sends", (int64_t)brief},
				     {"loops", (int64_t)trials},
				     {"loops_with_loss", (int64_t)lost},
				     {0}},
		    "of %s bytes, %zu of %zu sends that did not wait, timed out or were "
		    "interrupted took a part; undisturbed blocking ones took all in %zu of %zu. "
		    "The loop got every byte across in %zu of %zu trials",
		    text_count(total), cut, cuts, whole.n - stats_nonzero(whole), whole.n,
		    trials - lost, trials);
}

static size_t sum_of(struct run *run, const size_t *which, size_t n, const char *field, size_t *all)
{
	size_t sum = 0;

	*all = 0;
	for (size_t i = 0; i < n; i++) {
		struct values values = run_values(run, which[i], field);

		sum += stats_nonzero(values);
		*all += values.n;
	}
	return sum;
}

/* Of the interpreters from 3.5 on (or before it): samples, and those in which both calls did so. */
static size_t pythons_that(struct run *run, bool since, const char *recv, const char *connect,
			   size_t *all)
{
	struct values version = run_values(run, PYTHON, "version");
	struct values one = run_values(run, PYTHON, recv);
	struct values two = run_values(run, PYTHON, connect);
	size_t n = 0;

	*all = 0;
	for (size_t i = 0; i < two.n; i++)
		if ((version.at[i] >= 305) == since) {
			n += one.at[i] && two.at[i];
			*all += 1;
		}
	return n;
}

static void judge_eintr(struct run *run)
{
	static const size_t bare[] = {RECV, ACCEPT, CONNECT};
	static const size_t restart[] = {RECV_RESTART, ACCEPT_RESTART, CONNECT_RESTART};
	static const size_t timed[] = {RECV_TIMEOUT};
	size_t bares, restarts, timeds, news, olds;
	size_t eintr = sum_of(run, bare, 3, "eintr", &bares);
	size_t resumed = sum_of(run, restart, 3, "resumed", &restarts);
	size_t timed_eintr = sum_of(run, timed, 1, "eintr", &timeds);
	size_t new = pythons_that(run, true, "recv_resumed", "connect_resumed", &news);
	size_t old = pythons_that(run, false, "recv_eintr", "connect_eintr", &olds);
	bool c = bares > 0 && restarts > 0;

	for (size_t v = RECV; v < PYTHON; v++) {
		struct values done = run_values(run, v, "completed");
		struct values ran = run_values(run, v, "handled");

		run_control(run, stats_nonzero(done) == done.n && stats_nonzero(ran) == ran.n,
			    "%s: in %zu of %zu trials it did not end as it should",
			    variants[v].name, done.n - stats_nonzero(done), done.n);
	}
	if (!c)
		return;
	run_verdict(run, "tcp-eintr",
		    new < news || eintr < bares ? REFUTED
		    : resumed                   ? DEPENDS
						: HOLDS,
		    (struct field[]){{"c_eintr", (int64_t)eintr},
				     {"c_calls", (int64_t)bares},
				     {"restart_resumed", (int64_t)resumed},
				     {"restart_calls", (int64_t)restarts},
				     {"timeout_eintr", (int64_t)timed_eintr},
				     {"timeout_calls", (int64_t)timeds},
				     {"python_since_35_resumed", (int64_t) new},
				     {"python_since_35", (int64_t)news},
				     {"python_before_35_eintr", (int64_t)old},
				     {"python_before_35", (int64_t)olds},
				     {0}},
		    "in C %zu of %zu interrupted calls failed with EINTR; with SA_RESTART the "
		    "kernel resumed %zu of %zu, but %zu of %zu with a timeout set failed. %s",
		    eintr, bares, resumed, restarts, timed_eintr, timeds,
		    news + olds == 0
			    ? text_format("Python was not measured: %s", no_python)
			    : text_format("CPython %s resumed in %zu of %zu runs%s",
					  news ? versions(run, "recv_resumed") : "since 3.5", new,
					  news,
					  olds ? text_format("; %s raised EINTR in %zu of %zu",
							     versions(run, "recv_eintr"), old, olds)
					       : ""));
}

static void report(struct run *run)
{
	print_sends(run);
	print_calls(run);
	if (run_values(run, PYTHON, "version").n)
		run_say(run, "CPython, recv and connect: resumed by %s; EINTR from %s.",
			versions(run, "recv_resumed"), versions(run, "recv_eintr"));
	fputs("\n", run_out(run));
	judge_send(run);
	judge_eintr(run);
	run_why(run,
		"send returns what it has copied into the kernel. A signal must run its handler, "
		"so the call comes back: with what was done; or, if that is nothing, with EINTR, "
		"unless it can be started anew with nothing changed, which a running timeout "
		"forbids.");
}

int main(int argc, char *argv[])
{
	const char *script = python_script("tcp/eintr.py");
	struct run *run;

	if (!script)
		no_python = "experiments/tcp/eintr.py is not beside the build folder";
	else
		pythons_n = python_find(python_asked(argc, argv), pythons);
	if (pythons_n == 0)
		variants[PYTHON] = (struct variant){0};
	run = run_begin(&about, argc, argv);
	while (run_next(run)) {
		if (run_variant(run) < SENDS)
			measure_send(run);
		else if (run_variant(run) < PYTHON)
			measure_call(run);
		else
			measure_python(run, script);
	}
	return run_end(run, report);
}
