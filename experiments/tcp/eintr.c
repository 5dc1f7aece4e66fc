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
#include "old.h"
#include "net.h"
#include "pattern.h"
#include "python.h"
#include "span.h"
#include "text.h"
#include "thread.h"

enum { RECV, ACCEPT, CONNECT };      /* the call */
enum how { BARE, RESTART, TIMEOUT }; /* the handler without and with SA_RESTART; and SO_RCVTIMEO */
enum { CASES = 7, PYTHON = CASES, VARIANTS, LATE = 10 };

static const int64_t MS = 1000000; /* ns */

static const struct one {
	int call;
	enum how how;
} cases[CASES] = {{RECV, BARE},      {RECV, RESTART}, {RECV, TIMEOUT},   {ACCEPT, BARE},
		  {ACCEPT, RESTART}, {CONNECT, BARE}, {CONNECT, RESTART}};

static struct variant variants[VARIANTS + 1] = {
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
	 "since Python 3.5 an interrupted connect/recv is resumed; in C the program must do that "
	 "itself"},
	{0}};

static const char *python_list;

static const struct opt opts[] = {{0, "python",
				   "CPython interpreters, with commas (default: all found)",
				   .text = &python_list, .metavar = "PATH"},
				  {0}};

static const struct experiment about = {
	.name = "eintr",
	.group = "tcp",
	.summary = "What does a signal do to a call that waits?",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.trials = 6,
	.quick_trials = 1,
};

static struct python pythons[PYTHONS];
static size_t pythons_n;
static const char *no_python = "no CPython was found";

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
	run_record(run, (struct field[]){{"resumed", resumed},
					 {"eintr", !resumed && w.result == -EINTR},
					 {"handled", atomic_load(&handled)},
					 {"completed", w.completed},
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
					 {0}});
}

/* All interpreters at once: they sleep most of the time. */
static void measure_python(struct run *run, const char *script)
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

/* --- report ---------------------------------------------------------------- */

/* "4 of 6" */
static const char *of(struct values values)
{
	return text_format("%zu of %zu", stats_nonzero(values), values.n);
}

/* Calls in C of one kind, or CPythons of which recv and connect are one each. */
struct tally {
	size_t n, eintr, resumed;
	int64_t oldest, newest; /* versions, such as 313; 0 = there is none */
};

static struct tally of_calls(struct run *run, enum how how)
{
	struct tally t = {0};

	for (size_t v = 0; v < CASES; v++)
		if (cases[v].how == how) {
			t.n += run_values(run, v, "eintr").n;
			t.eintr += (size_t)run_sum(run, v, "eintr");
			t.resumed += (size_t)run_sum(run, v, "resumed");
		}
	return t;
}

/* Of the CPythons from 3.5 on, or before it: those in which both calls did so. */
static struct tally of_pythons(struct run *run, bool since)
{
	struct values version = run_values(run, PYTHON, "version");
	struct values eintr[] = {run_values(run, PYTHON, "recv_eintr"),
				 run_values(run, PYTHON, "connect_eintr")};
	struct values resumed[] = {run_values(run, PYTHON, "recv_resumed"),
				   run_values(run, PYTHON, "connect_resumed")};
	struct tally t = {0};

	for (size_t i = 0; i < version.n; i++) {
		if ((version.at[i] >= 305) != since)
			continue;
		t.n++;
		t.eintr += eintr[0].at[i] && eintr[1].at[i];
		t.resumed += resumed[0].at[i] && resumed[1].at[i];
		t.oldest = t.oldest && t.oldest < version.at[i] ? t.oldest : version.at[i];
		t.newest = t.newest > version.at[i] ? t.newest : version.at[i];
	}
	return t;
}

/* "3.6 to 3.13" */
static const char *versions(struct tally t)
{
	const char *oldest = text_format("%d.%d", (int)t.oldest / 100, (int)t.oldest % 100);

	return t.oldest == t.newest ? oldest
				    : text_format("%s to %d.%d", oldest, (int)t.newest / 100,
						  (int)t.newest % 100);
}

static void print_table(struct run *run)
{
	static const char row[] = "  %-19s %16s %12s %12s\n";
	FILE *out = run_out(run);

	fprintf(out, row, "a signal in", "failed: EINTR", "resumed", "then came");
	for (size_t v = 0; v < CASES; v++)
		if (run_selected(run, v))
			fprintf(out, row, text_format("C: %s", variants[v].name),
				of(run_values(run, v, "eintr")), of(run_values(run, v, "resumed")),
				cases[v].call == CONNECT ? ""
							 : of(run_values(run, v, "completed")));
	for (int since = 0; since < 2; since++) {
		struct tally t = of_pythons(run, since);

		if (t.n)
			fprintf(out, row, text_format("CPython %s", versions(t)),
				text_format("%zu of %zu", t.eintr, t.n),
				text_format("%zu of %zu", t.resumed, t.n), "");
	}
	fputs("\n", out);
}

static const char *python_says(struct tally old, struct tally new)
{
	const char *of_new = text_format("CPython %s resumed in %zu of %zu runs",
					 new.n ? versions(new) : "since 3.5", new.resumed, new.n);

	if (new.n + old.n == 0)
		return text_format("Python was not measured: %s", no_python);
	return old.n ? text_format("%s; %s raised EINTR in %zu of %zu", of_new, versions(old),
				   old.eintr, old.n)
		     : of_new;
}

static void judge(struct run *run)
{
	struct tally bare = of_calls(run, BARE), restart = of_calls(run, RESTART);
	struct tally timed = of_calls(run, TIMEOUT);
	struct tally old = of_pythons(run, false), new = of_pythons(run, true);

	if (bare.n == 0 || restart.n == 0)
		return;
	old_verdict(run, "tcp-eintr",
		    new.resumed < new.n || bare.eintr < bare.n ? REFUTED
		    : restart.resumed                          ? DEPENDS
							       : HOLDS,
		    (struct field[]){{"c_eintr", (int64_t)bare.eintr},
				     {"c_calls", (int64_t)bare.n},
				     {"restart_resumed", (int64_t)restart.resumed},
				     {"restart_calls", (int64_t)restart.n},
				     {"timeout_eintr", (int64_t)timed.eintr},
				     {"timeout_calls", (int64_t)timed.n},
				     {"python_since_35_resumed", (int64_t) new.resumed},
				     {"python_since_35", (int64_t) new.n},
				     {"python_before_35_eintr", (int64_t)old.eintr},
				     {"python_before_35", (int64_t)old.n},
				     {0}},
		    "in C %zu of %zu interrupted calls failed with EINTR; with SA_RESTART the "
		    "kernel resumed %zu of %zu, but %zu of %zu with a timeout set failed. %s",
		    bare.eintr, bare.n, restart.resumed, restart.n, timed.eintr, timed.n,
		    python_says(old, new));
}

static void report(struct run *run)
{
	print_table(run);
	for (size_t v = 0; v < CASES; v++) {
		struct values done = run_values(run, v, "completed");
		struct values ran = run_values(run, v, "handled");

		old_control(run, stats_nonzero(done) == done.n && stats_nonzero(ran) == ran.n,
			    "%s: in %zu of %zu trials it did not end as it should",
			    variants[v].name, done.n - stats_nonzero(done), done.n);
	}
	judge(run);
	old_why(run, "a signal must run its handler, so the call comes back: with EINTR if it has "
		     "done nothing, unless it can be started anew with nothing changed, which a "
		     "running timeout forbids.");
}

int main(int argc, char *argv[])
{
	const char *script = python_script("tcp/eintr.py");
	struct run *run;

	if (script)
		pythons_n = python_find(python_asked(argc, argv), pythons);
	else
		no_python = "experiments/tcp/eintr.py is not beside the build folder";
	if (pythons_n == 0)
		variants[PYTHON] = (struct variant){0};
	run = run_begin(&about, argc, argv);
	while (run_next(run)) {
		if (run_variant(run) < PYTHON)
			measure_call(run, &cases[run_variant(run)]);
		else
			measure_python(run, script);
	}
	return old_end(run, report);
}
