/* SPDX-License-Identifier: MIT */
/*
 * ctrl_c - does Ctrl-C end a server at once?
 *
 * Python turns SIGINT into KeyboardInterrupt in the main thread, and what happens then is up to the
 * program.  Of servers as they are first written the iterative one ends.  With threads that are no
 * daemons the interpreter waits for them to end, and each waits for its client.  serve_forever() of
 * asyncio ends up to Python 3.11; since 3.12 it waits until all connections are closed.
 *
 * A trial interrupts such a server twice, as a terminal does: started anew, with no client, and with one
 * that was answered and is silent.  The server ends, or goes to sleep again and stays so: then the
 * client leaves, and it is seen whether the server ends now.  So the order of the two decides.
 *
 * The controls are servers that are written to end: the models in C, and Python with daemon threads.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "language.h"
#include "lib/server.h"
#include "python.h"
#include "span.h"

enum {
	BY_EPOLL,
	BY_THREAD,
	BY_FORK,
	BY_ITERATIVE,
	BY_PY_DAEMON,
	BY_PY_ITERATIVE, /* from here on in Python, as first written */
	BY_PY_THREADED,
	BY_PY_SOCKETSERVER,
	BY_ASYNCIO, /* as many as there are interpreters */
	MOST_VARIANTS = BY_ASYNCIO + PYTHONS,
	NAME = 40
};

static struct python pythons[PYTHONS];
static struct model peers[MOST_VARIANTS] = {
	[BY_PY_DAEMON] = {"py-daemon", PEER("threaded.py")},
	[BY_PY_ITERATIVE] = {"py-iterative", PEER("iterative.py")},
	[BY_PY_THREADED] = {"py-threaded", PEER("threaded.py"), .more = {"--plain"}},
	[BY_PY_SOCKETSERVER] = {"py-socketserver", PEER("socketserver_threads.py"),
				.more = {"--plain"}},
};
static char names[PYTHONS][NAME];
static size_t variants_n = BY_ASYNCIO;

static struct variant variants[MOST_VARIANTS + 1] = {
	MODEL_AS(BY_EPOLL, EPOLL, "epoll", "an event loop in C, written to end"),
	MODEL_AS(BY_THREAD, THREAD, "thread", "threads in C, written to end"),
	MODEL_AS(BY_FORK, FORK, "fork", "processes in C, written to end"),
	MODEL_AS(BY_ITERATIVE, ITERATIVE, "iterative", "iterative in C, written to end"),
	[BY_PY_DAEMON] = {"py-daemon", "Python: daemon threads, which end with it",
			  &peers[BY_PY_DAEMON]},
	[BY_PY_ITERATIVE] = {"py-iterative", "Python: iterative", &peers[BY_PY_ITERATIVE]},
	[BY_PY_THREADED] = {"py-threaded", "Python: threads as they are by default",
			    &peers[BY_PY_THREADED]},
	[BY_PY_SOCKETSERVER] = {"py-socketserver", "Python: socketserver's threads, by default",
				&peers[BY_PY_SOCKETSERVER]},
};

static const struct claim claims[] = {
	{"srv-ctrl-c", "Ctrl-C ends a server at once", "leaves-first", HOLDS,
	 .why = {[DEPENDS] =
			 "Ctrl-C interrupts the main thread alone. At its end the interpreter waits for all threads that are no daemons, and these wait for their clients; serve_forever() of asyncio waits for its connections since Python 3.12."}},
	{0}};

static const struct row_field fields[] = {
	{"ended", "1: it ended while the client was connected", "ended|first", SHOW_NONZERO},
	{"waited", "1: it lived on, and ended when the client had left", "waited for|the client",
	 SHOW_NONZERO},
	{"never", "1: it lived on then, too, and was killed"},
	{"end_ns", "from Ctrl-C to its end, with a client", "end after|Ctrl-C"},
	{"left_ns", "from Ctrl-C until the client left; absent where the server had ended"},
	{"alone_end_ns", "from Ctrl-C to its end, with no client", "with no|client"},
	{"alone_lived_on", "1: with no client it did not end", .zero = true, .sham = "no-signal"},
	{"written_lived_on", "1: one that is written to end lived on while the client was there",
	 .zero = true, .sham = "py-daemon=py-threaded"},
	{"wrong_bytes", "of the answer", .zero = true, .sham = "greet"},
	{0}};

static const struct bound bounds[] = {
	{"enough_trials", 4, "of all servers: what one does is no matter of chance"},
	{"enough_servers", 3, "fewer show no cases"},
	{0}};

static const char *list;
static int64_t hold_ms = 200;

static const struct opt opts[] = {
	{0, "python",
	 "interpreters of asyncio, or all; else the oldest from 3.7 on and the newest; the newest runs the others",
	 .text = &list, .metavar = "PATH,..."},
	{0, "hold", "a server that sleeps for so long after Ctrl-C waits for its client",
	 .num = &hold_ms, .min = 1, .quick = 50, .max = 10000, .unit = OPT_MS},
	{0}};

/* Whether it ends: false if it has slept for the hold instead, or the run was stopped. */
static bool ends(const struct server *server, int64_t begin_ns, int64_t *end_ns)
{
	int64_t held_ns = span_now() + hold_ms * 1000000;
	bool ended;

	do {
		ended = program_has_ended(&server->program);
	} while (!ended && span_now() < held_ns && run_sleep_until(span_now() + 200000));
	if (!ended && server_await_sleep(server)) /* it may have been kept from running */
		ended = program_has_ended(&server->program);
	*end_ns = span_now() - begin_ns;
	return ended;
}

/* As a terminal sends it: to the server and all that it has forked.  Returns when. */
static int64_t interrupt(const struct run *run, const struct server *server)
{
	int64_t begin_ns;

	server_await_sleep(server); /* a signal before Python's call would be seen after it */
	begin_ns = span_now();
	if (!run_sham(run, "no-signal"))
		check_fd(kill(-server->program.pid, SIGINT), "kill");
	return begin_ns;
}

static void finish(struct server *server, bool ended)
{
	if (ended)
		program_end(&server->program, NULL);
	else
		program_kill(&server->program);
}

static void measure(struct run *run)
{
	struct server server = server_start(run, run_how(run), SERVER_CPU, 1, NULL);
	int64_t wrong = 0, left_ns = 0, end_ns, alone_end_ns, begin_ns;
	bool alone, first, ended;
	struct field row[10];
	size_t n = 0;
	int client;

	alone = ends(&server, interrupt(run, &server), &alone_end_ns);
	finish(&server, alone);
	server = server_start(run, run_how(run), SERVER_CPU, 1, NULL);
	client = check_fd(server_connect(&server), "connect");
	server_ask(&server, client, INT64_MAX / 2, &wrong);
	if (run_sham(run, "leaves-first"))
		shutdown(client, SHUT_RDWR);
	begin_ns = interrupt(run, &server);
	first = ended = ends(&server, begin_ns, &end_ns);
	if (!first)
		left_ns = span_now() - begin_ns;
	close(client);
	if (!first)
		ended = ends(&server, begin_ns, &end_ns);
	finish(&server, ended);
	row[n++] = (struct field){"ended", first};
	row[n++] = (struct field){"waited", ended && !first};
	row[n++] = (struct field){"never", !ended};
	row[n++] = (struct field){"end_ns", end_ns};
	if (!first)
		row[n++] = (struct field){"left_ns", left_ns};
	row[n++] = (struct field){"alone_end_ns", alone_end_ns};
	row[n++] = (struct field){"alone_lived_on", !alone};
	row[n++] = (struct field){"written_lived_on", run_label(run) <= BY_PY_DAEMON && !first};
	row[n++] = (struct field){"wrong_bytes", wrong};
	row[n] = (struct field){0};
	run_record(run, row);
}

/* --- judge --------------------------------------------------------------- */

/* Of those as first written; writes the names of those that lived on. */
static struct share ended_first(struct run *run, FILE *who)
{
	struct share all = {0};
	size_t servers = 0;
	const char *comma = "";

	for (size_t v = BY_PY_ITERATIVE; v < variants_n; v++) {
		struct share ended = run_nonzero(run, v, "ended");

		all = share_add(all, ended);
		servers += ended.n > 0;
		if (ended.k < ended.n)
			fprintf(who, "%s%s", comma, variants[v].name);
		comma = ended.k < ended.n ? ", " : comma;
	}
	fprintf(who, "%s", *comma ? "" : MESSAGE("none"));
	return servers < (size_t)run_bound(run, "enough_servers") ? (struct share){0} : all;
}

static void judge(struct run *run)
{
	char *who = NULL;
	size_t size;
	FILE *names_out = check_alloc(open_memstream(&who, &size));
	struct share ended = ended_first(run, names_out);

	fclose(names_out);
	run_judge(
		run, "srv-ctrl-c", case_by_case(ended, (int64_t)run_bound(run, "enough_trials")),
		"Python servers as first written ended before their client left in {ended} trials; those that lived on: {who}. With no client the threaded one took {alone_ns}",
		number_share("ended", ended), number_text("who", who),
		number_real("alone_ns", run_median(run, BY_PY_THREADED, "alone_end_ns")));
	free(who);
}

/* Variants of asyncio: of the oldest interpreter from 3.7 on and the newest, or of all asked for. */
static void choose(void)
{
	size_t n = python_find(list && strcmp(list, "all") == 0 ? NULL : list, pythons);
	const struct python *newest = python_newest(pythons, n, 7);
	size_t oldest = 0;

	while (oldest < n && (pythons[oldest].major < 3 || pythons[oldest].minor < 7))
		oldest++;
	for (size_t i = oldest; i < n; i++) {
		if (!list && i != oldest && &pythons[i] != newest)
			continue;
		snprintf(names[i], NAME, "asyncio-%s", pythons[i].name);
		peers[variants_n] =
			(struct model){names[i], PEER("asyncio_streams.py"),
				       .interpreter = pythons[i].path, .more = {"--plain"}};
		variants[variants_n] =
			(struct variant){names[i], MESSAGE("Python: serve_forever() of asyncio"),
					 &peers[variants_n]};
		variants_n++;
	}
	for (size_t v = BY_PY_DAEMON; newest && v < BY_ASYNCIO; v++)
		peers[v].interpreter = newest->path;
}

static const struct experiment about = {
	.name = "ctrl_c",
	.group = "echo",
	.order = 610,
	.summary = "Does Ctrl-C end a server at once?",
	.intro =
		"SIGINT to a server that has no client, and to one whose client is silent; who is asleep {hold_ms} later waits for the client to leave.",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.choose = choose,
	.fields = fields,
	.bounds = bounds,
	.trials = 3,
	.quick_trials = 1,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	for (size_t v = BY_PY_DAEMON; v < BY_ASYNCIO && variants_n == BY_ASYNCIO; v++)
		run_leave_out(run, v, "no CPython from 3.7 on was found");
	for (size_t v = BY_PY_DAEMON; v < variants_n; v++)
		if (run_selected(run, v) && !python_script(peers[v].script))
			run_leave_out(run, v, "its script is not there");
	while (run_next(run))
		measure(run);
	return run_end(run);
}
