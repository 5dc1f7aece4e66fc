/* SPDX-License-Identifier: MIT */
/*
 * one_thread - servers of one thread: which of them makes a second client wait for the first to leave?
 *
 * An iterative server is in the recv of one connection until that ends.  An event loop, of Node.js as
 * of others, waits for whichever connection has something.  A Python server that calls run() of its
 * threads, where start() was meant, looks like one with threads, and has one: it is iterative.
 *
 * A first client is connected, was answered and is silent; a second one asks.  It has its answer, or
 * every thread of the server sleeps without one: then the first client leaves, and the second one must
 * be answered.  So the order decides, on a busy machine as well; waits says how long each one takes.
 */
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "language.h"
#include "lib/server.h"
#include "span.h"

enum {
	BY_ITERATIVE,
	BY_EPOLL,
	BY_LIBUV,
	BY_PY_ASYNCIO,
	BY_NODE,
	BY_PY_THREADED,
	BY_PY_RUN,
	FIRST_LOOP = BY_EPOLL,
	LAST_LOOP = BY_NODE
};

static const struct model py_run = {"py-run", PEER("threaded.py"), .more = {"--run"}};
static const struct model node = {"node", PEER("event_loop.js"), .interpreter = "node"};

static const struct variant variants[] = {
	MODEL_AS(BY_ITERATIVE, ITERATIVE, "iterative", "one connection after the other"),
	MODEL_AS(BY_EPOLL, EPOLL, "epoll", "an event loop in C"),
	MODEL_AS(BY_LIBUV, LIBUV, "libuv", "the library of Node.js, in C"),
	MODEL_AS(BY_PY_ASYNCIO, PY_ASYNCIO, "py-asyncio", "Python's event loop"),
	[BY_NODE] = {"node", "Node.js", &node},
	MODEL_AS(BY_PY_THREADED, PY_THREADED, "py-start", "Python: start() of a thread for each"),
	[BY_PY_RUN] = {"py-run", "the same with run() in its place", &py_run},
	{0}};

static const struct claim claims[] = {
	{"srv-iterative-event", "an iterative server is an event-driven one, such as node.js",
	 "iterative=epoll", HOLDS,
	 .why = {[REFUTED] =
			 "both have one thread. The iterative one waits in the recv of one connection; an event loop waits for all of them in one call, and goes on with whichever has something."}},
	{"srv-run-is-start", "calling a thread's run() makes the server multi-threaded",
	 "py-run=py-start", HOLDS,
	 .why = {[REFUTED] =
			 "run() is what the new thread is to do. Called directly it is a function like any other: the thread that accepts does it, and so serves one connection to its end. start() makes the thread that calls it."}},
	{0}};

static const struct row_field fields[] = {
	{"attempt", "its number within the trial"},
	{"waited", "1: the second client had no answer before the first one left", "second|waited",
	 SHOW_NONZERO},
	{"threads", "of the server while both are connected, with that of its signals",
	 "threads|then"},
	{"latency_ns", "from the second client's request to its answer", "answer|after"},
	{"held_ns", "from this request until the first client left"},
	{"wrong_bytes", "of all answers", .zero = true, .sham = "greet"},
	{0}};

static const struct bound bounds[] = {
	{"enough_attempts", 4, "of each kind: what a server does next does not depend on chance"},
	{0}};

static int64_t hold_ms = 20;
static int64_t attempts = 4;

static const struct opt opts[] = {
	{0, "hold", "how long the first client is silent at least, if the second has to wait",
	 .num = &hold_ms, .min = 1, .max = 10000, .unit = OPT_MS},
	{'n', "attempts", "of each server started", .num = &attempts, .min = 1, .max = 1000},
	{0}};

static void attempt(struct run *run, const struct server *server, int64_t number)
{
	int first = check_fd(server_connect(server), "connect");
	int second = check_fd(server_connect(server), "connect");
	int64_t wrong = 0;
	int64_t begin_ns, latency_ns, left_ns, threads;
	enum answer answer;

	server_ask(server, first, INT64_MAX / 2, &wrong);
	begin_ns = span_now();
	answer = server_ask(server, second, hold_ms * 1000000, &wrong);
	latency_ns = span_now() - begin_ns;
	threads = program_threads(server->program.pid);
	left_ns = span_now() - begin_ns;
	close(first);
	if (answer == WAITING) {
		server_answer(server, second, INT64_MAX / 2, &wrong);
		latency_ns = span_now() - begin_ns;
	}
	close(second);
	run_record(run, (struct field[]){{"attempt", number},
					 {"waited", answer == WAITING},
					 {"threads", threads},
					 {"latency_ns", latency_ns},
					 {"held_ns", left_ns},
					 {"wrong_bytes", wrong},
					 {0}});
}

/* --- judge --------------------------------------------------------------- */

/* The claim that this one serves as those do: a second client waits for neither. */
static enum verdict serves_as(const struct run *run, struct share its, struct share theirs)
{
	int64_t enough = (int64_t)run_bound(run, "enough_attempts");

	return only_if(never_happens(theirs, enough), never_happens(its, enough));
}

static void judge(struct run *run)
{
	struct share its = run_nonzero(run, BY_ITERATIVE, "waited");
	struct share theirs = run_nonzero(run, BY_EPOLL, "waited");

	for (size_t v = FIRST_LOOP + 1; v <= LAST_LOOP; v++)
		if (run_selected(run, v))
			theirs = share_add(theirs, run_nonzero(run, v, "waited"));
	run_judge(
		run, "srv-iterative-event", serves_as(run, its, theirs),
		run_selected(run, BY_NODE)
			? MESSAGE("the second client had no answer before the first one left in {iterative} attempts of the iterative server, in {loops} of event loops, Node.js among them")
			: MESSAGE("the second client had no answer before the first one left in {iterative} attempts of the iterative server, in {loops} of event loops; Node.js was not tried"),
		number_share("iterative", its), number_share("loops", theirs));
	its = run_nonzero(run, BY_PY_RUN, "waited");
	theirs = run_nonzero(run, BY_PY_THREADED, "waited");
	run_judge(
		run, "srv-run-is-start", serves_as(run, its, theirs),
		"the second client had no answer before the first one left in {run} attempts with run() (threads of the server: {run_threads}), in {start} with start() (threads: {start_threads})",
		number_share("run", its), number_share("start", theirs),
		number_real("run_threads", run_median(run, BY_PY_RUN, "threads")),
		number_real("start_threads", run_median(run, BY_PY_THREADED, "threads")));
}

static const struct experiment about = {
	.name = "one_thread",
	.group = "echo",
	.order = 609,
	.summary = "Servers of one thread: who makes a second client wait?",
	.intro =
		"The first client is connected, was answered and is silent; the second one asks; {attempts} times a trial.",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.fields = fields,
	.bounds = bounds,
	.trials = 3,
	.quick_trials = 1,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	models_leave_out(run, variants, MODELS);
	while (run_next(run)) {
		struct server server = server_start(run, run_how(run), SERVER_CPU, 2, NULL);

		run_pin(LOAD_CPU);
		for (int64_t i = 0; i < attempts && !run_stopped(); i++)
			attempt(run, &server, i);
		run_pin(ALL_CPUS);
		server_stop(&server);
	}
	return run_end(run);
}
