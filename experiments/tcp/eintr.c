/* SPDX-License-Identifier: MIT */
/*
 * eintr - what does a signal do to a call that waits, and has done nothing yet?
 *
 * It fails with EINTR, or goes on if the handler was installed with SA_RESTART, unless the socket
 * has a timeout (signal(7)).  A thread calls recv, accept or connect; when it sleeps in the call a
 * signal comes, and then it is looked whether it sleeps again.  After EINTR the call is made anew,
 * and what it waits for comes, which it must get.  A connect is not made anew: it goes on by itself
 * (connect(2)).
 *
 * The same for recv and connect in every CPython found, by eintr.py: since 3.5 it makes the call
 * anew itself (PEP 475).  What a signal does to a send that has sent something is short_send.c's
 * matter.
 */
#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "language.h"
#include "net.h"
#include "pattern.h"
#include "python.h"
#include "span.h"
#include "thread.h"

enum { RECV, ACCEPT, CONNECT };      /* the call */
enum how { BARE, RESTART, TIMEOUT }; /* the handler without and with SA_RESTART; and SO_RCVTIMEO */
enum { CASES = 7, PYTHON = CASES, LATE = 10 };

static const int64_t MS = 1000000; /* ns */

static const struct one {
	int call;
	enum how how;
} cases[CASES] = {{RECV, BARE},      {RECV, RESTART}, {RECV, TIMEOUT},   {ACCEPT, BARE},
		  {ACCEPT, RESTART}, {CONNECT, BARE}, {CONNECT, RESTART}};

static const struct variant variants[] = {
	{"recv", "recv and a signal"},
	{"recv-restart", "recv and a signal with SA_RESTART"},
	{"recv-timeout", "the same with SO_RCVTIMEO set"},
	{"accept", "accept and a signal"},
	{"accept-restart", "accept and a signal with SA_RESTART"},
	{"connect", "connect and a signal"},
	{"connect-restart", "connect and a signal with SA_RESTART"},
	[PYTHON] = {"python", "recv and connect in each CPython found"},
	{0}};

static const struct claim claims[] = {
	{"tcp-eintr",
	 "since Python 3.5 an interrupted connect/recv is resumed; in C the program must do that itself",
	 "recv-restart=recv,accept-restart=accept,connect-restart=connect", HOLDS,
	 .why = {[DEPENDS] =
			 "a signal must run its handler, so the call comes back: with EINTR if it has done nothing, unless it can be started anew with nothing changed (SA_RESTART), which a running timeout forbids."}},
	{0}};

static const struct row_field fields[] = {
	{"eintr", "1: it failed with EINTR", "EINTR", SHOW_NONZERO},
	{"resumed", "1: the kernel resumed it", "resumed", SHOW_NONZERO},
	{"handled", "signals"},
	{"completed", "1: after that what it waited for came", "then came", SHOW_NONZERO},
	{"unfinished", "1: no signal was handled, or what it waited for did not come", .zero = true,
	 .sham = "no-signal"},
	{"call_ns", "of the call"},
	{"elapsed_ns", "of the trial"},
	{"python", "version of CPython", .text = true},
	{"version", "the same as a number: 311 is 3.11"},
	{"recv", "resumed, EINTR or else", .text = true},
	{"connect", "resumed, EINTR or else", .text = true},
	{"recv_resumed", "1: it was", "Python:|recv resumed", SHOW_NONZERO},
	{"connect_resumed", "1: it was", "connect|resumed", SHOW_NONZERO},
	{"recv_eintr", "1: it was EINTR"},
	{"connect_eintr", "1: it was EINTR"},
	{"since_3_5", "1: CPython since 3.5"},
	{"both_resumed", "1: both calls were"},
	{"both_eintr", "1: both calls failed with EINTR"},
	{0}};

static const struct bound bounds[] = {{"enough_calls", 3, "recv, accept and connect"}, {0}};

static const char *python_list;

static const struct opt opts[] = {{0, "python",
				   "CPython interpreters, with commas (default: all found)",
				   .text = &python_list, .metavar = "PATH"},
				  {0}};

static const char *script; /* of Python; NULL = it is not there */
static struct python pythons[PYTHONS];
static size_t pythons_n;
static const char *no_python = MESSAGE("no CPython was found");

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

/* --- the thread that calls ------------------------------------------------- */

struct waiter {
	int call;
	struct net_pair fd; /* of accept and connect rx listens, and connect connects tx */
	struct sockaddr_in where;
	int fillers[NET_FILLERS]; /* of connect: they keep the listener's queue full */
	pthread_t thread;
	atomic_int tid;           /* once it is about to call */
	atomic_bool returned;     /* from its first call */
	int64_t begin_ns, end_ns; /* of the first call */
	int64_t result;           /* of the first call: bytes, a descriptor, or -errno */
	bool completed;           /* it got what it waited for in the end */
	uint8_t late[LATE];       /* what recv waits for */
};

static int64_t call(struct waiter *w)
{
	int64_t result;

	if (w->call == RECV)
		result = recv(w->fd.rx, w->late, LATE, 0);
	else if (w->call == ACCEPT)
		result = accept4(w->fd.rx, NULL, NULL, SOCK_CLOEXEC);
	else
		result = connect(w->fd.tx, (struct sockaddr *)&w->where, sizeof(w->where));
	return result < 0 ? -errno : result;
}

static void *wait_for_it(void *argument)
{
	struct waiter *w = argument;
	int64_t last;

	w->begin_ns = span_now();
	atomic_store(&w->tid, gettid());
	w->result = last = call(w);
	w->end_ns = span_now();
	atomic_store(&w->returned, true);
	while (last == -EINTR && w->call != CONNECT)
		last = call(w);
	w->completed =
		w->call != RECV || (last == LATE && pattern_misplaced(w->late, LATE, 0) == 0);
	if (w->call == ACCEPT) {
		w->completed = last >= 0;
		close((int)last);
	}
	return NULL;
}

/* --- one trial in C -------------------------------------------------------- */

static void prepare(struct waiter *w, enum how how)
{
	if (w->call == RECV) {
		w->fd = net_pair(NET_TCP, (struct net_ask){0});
	} else if (w->call == ACCEPT) {
		w->fd = (struct net_pair){-1, net_listen(0, &w->where)};
	} else {
		w->fd.tx = net_socket(SOCK_STREAM);
		w->fd.rx = net_silent(&w->where, w->fillers);
	}
	if (how == TIMEOUT) /* far longer than it waits */
		net_set_timeout(w->fd.rx, SO_RCVTIMEO, 10000);
	install(how != BARE);
}

/*
 * Interrupts the call, and waits until it has come back, or sleeps again after the handler ran.
 * True if it sleeps again.
 */
static bool interrupt(const struct waiter *w)
{
	int64_t deadline_ns = span_now() + 100 * MS; /* a sanitizer may hold the handler back */

	thread_await_sleep(&w->tid, &w->returned);
	pthread_kill(w->thread, SIGUSR1);
	while (atomic_load(&handled) == 0 && !atomic_load(&w->returned) && span_now() < deadline_ns)
		run_sleep_until(span_now() + MS / 4);
	return thread_await_sleep(&w->tid, &w->returned);
}

/* What the call waits for comes at last; a connect that still waits is ended by other signals. */
static void let_go(struct waiter *w)
{
	uint8_t late[LATE];

	if (w->call == RECV) {
		pattern_fill(late, LATE, 0);
		if (send(w->fd.tx, late, LATE, 0) != LATE)
			err(EXIT_USAGE, "send");
	} else if (w->call == ACCEPT) {
		w->fd.tx = net_connect(&w->where);
	} else {
		install(false);
		while (!atomic_load(&w->returned)) {
			pthread_kill(w->thread, SIGUSR1);
			run_sleep_until(span_now() + 10 * MS);
		}
		for (int i = 0; i < NET_FILLERS; i++)
			close(w->fillers[i]);
	}
}

static void measure_call(struct run *run, const struct one *one)
{
	struct waiter w = {.call = one->call};
	bool resumed;

	atomic_store(&handled, 0);
	prepare(&w, one->how);
	check(pthread_create(&w.thread, NULL, wait_for_it, &w), "pthread_create");
	resumed = interrupt(&w);
	let_go(&w);
	check(pthread_join(w.thread, NULL), "pthread_join");
	if (w.call != CONNECT) /* what a connect returned is what let_go() did */
		resumed = w.result != -EINTR;
	if (run_sham(run, "no-signal"))
		atomic_store(&handled, 0);
	run_record(run, (struct field[]){{"resumed", resumed},
					 {"eintr", !resumed && w.result == -EINTR},
					 {"handled", atomic_load(&handled)},
					 {"completed", w.completed},
					 {"unfinished", !w.completed || atomic_load(&handled) == 0},
					 {"call_ns", w.end_ns - w.begin_ns},
					 {"elapsed_ns", span_now() - w.begin_ns},
					 {0}});
	net_close(&w.fd);
}

/* --- Python ---------------------------------------------------------------- */

static void record_python(struct run *run, const struct python *python, char *line,
			  int64_t elapsed_ns)
{
	const char *recv = strsep(&line, " ");
	const char *connect = strsep(&line, "\n");

	if (!connect)
		errx(EXIT_USAGE, "CPython %s: tcp/eintr.py failed", python->name);
	run_record(run, (struct field[]){{"python", .text = python->name},
					 {"version", python->major * 100 + python->minor},
					 {"recv", .text = recv},
					 {"connect", .text = connect},
					 {"recv_resumed", strcmp(recv, "resumed") == 0},
					 {"connect_resumed", strcmp(connect, "resumed") == 0},
					 {"recv_eintr", strcmp(recv, "EINTR") == 0},
					 {"connect_eintr", strcmp(connect, "EINTR") == 0},
					 {"elapsed_ns", elapsed_ns},
					 {"since_3_5", python->major * 100 + python->minor >= 305},
					 {"both_resumed", strcmp(recv, "resumed") == 0 &&
								  strcmp(connect, "resumed") == 0},
					 {"both_eintr", strcmp(recv, "EINTR") == 0 &&
								strcmp(connect, "EINTR") == 0},
					 {0}});
}

/* All interpreters at once: they sleep most of the time. */
static void measure_python(struct run *run)
{
	const char *const none[] = {NULL};
	struct python_child children[PYTHONS];
	int64_t begin_ns = span_now();

	for (size_t i = 0; i < pythons_n; i++)
		children[i] = python_start(&pythons[i], script, none);
	for (size_t i = 0; i < pythons_n; i++) {
		char line[64];
		bool whole =
			python_read_line(&children[i], line, sizeof(line), begin_ns + 60000 * MS);

		python_end(&children[i]);
		if (!run_stopped())
			record_python(run, &pythons[i], whole ? line : (char[]){""},
				      span_now() - begin_ns);
	}
}

/* --- judge --------------------------------------------------------------- */

/* The calls in C of one kind. */
static struct share calls_of(struct run *run, enum how how, const char *field)
{
	struct share all = {0};

	for (size_t v = 0; v < CASES; v++)
		if (cases[v].how == how)
			all = share_add(all, run_nonzero(run, v, field));
	return all;
}

/* Interpreters since 3.5, or before. */
static struct share of_pythons(struct run *run, const char *field, int64_t since_3_5)
{
	return share_nonzero(run_values_where(run, PYTHON, field,
					      (struct field[]){{"since_3_5", since_3_5}, {0}}));
}

static void judge(struct run *run)
{
	int64_t enough = (int64_t)run_bound(run, "enough_calls");
	struct share bare = calls_of(run, BARE, "eintr");
	struct share restart = calls_of(run, RESTART, "eintr");
	struct share since = of_pythons(run, "both_resumed", 1);
	enum verdict in_c = by_case(always_happens(bare, enough), always_happens(restart, enough));

	run_judge(
		run, "tcp-eintr", since.n > 0 ? all_of(in_c, always_happens(since, 1)) : in_c,
		"in C {bare} interrupted calls failed with EINTR, {restart} with SA_RESTART, {timed} with SA_RESTART and a timeout; CPython since 3.5 resumed both in {since} runs, before it raised EINTR in {before}",
		number_share("bare", bare), number_share("restart", restart),
		number_share("timed", calls_of(run, TIMEOUT, "eintr")),
		number_share("since", since),
		number_share("before", of_pythons(run, "both_eintr", 0)));
	if (since.n == 0)
		run_note(run, "Python was not measured: {why}", number_text("why", no_python));
}

static void choose(void)
{
	script = python_script("tcp/eintr.py");
	if (script)
		pythons_n = python_find(python_list, pythons);
	else
		no_python = MESSAGE("experiments/tcp/eintr.py is not beside the build folder");
}

static const struct experiment about = {
	.name = "eintr",
	.group = "tcp",
	.order = 413,
	.summary = "What does a signal do to a call that waits?",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.variants = variants,
	.choose = choose,
	.trials = 6,
	.quick_trials = 1,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	if (pythons_n == 0)
		run_leave_out(run, PYTHON, "%s", no_python);
	while (run_next(run)) {
		if (run_variant(run) < PYTHON)
			measure_call(run, &cases[run_variant(run)]);
		else
			measure_python(run);
	}
	return run_end(run);
}
