/* SPDX-License-Identifier: MIT */
/*
 * waits - one client is connected and silent: does the server answer a second one meanwhile?
 *
 * An iterative server is in the recv of the first connection, so nobody accepts the second one.  Its
 * request waits in the kernel until the first client leaves.  All other models have somebody, or a
 * list of descriptors, for each connection.
 *
 * A trial starts a server and asks it several times so.  The first client leaves when the second has
 * its answer, or has held the server for hold and every thread of the server sleeps: a server that a
 * busy machine keeps from running is waited for.
 */
#include <math.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "language.h"
#include "lib/server.h"
#include "net.h"
#include "pattern.h"
#include "span.h"

static const struct variant variants[] = {MODEL_VARIANTS, {0}};

static const struct claim claims[] = {
	{"srv-iterative-waits",
	 "an iterative server makes every other client wait for the one in service",
	 "iterative=epoll", REFUTED,
	 .why = {[HOLDS] =
			 "the server is in the recv of the first connection. The second one is established by the kernel, but only accept would make it the server's."}},
	{"srv-concurrent-at-once", "a concurrent server answers the others at once",
	 "epoll=iterative", REFUTED},
	{0}};

static const struct row_field fields[] = {
	{"attempt", "its number within the trial"},
	{"waited", "1: the second client had no answer before the first one left", "waited",
	 SHOW_NONZERO},
	{"at_once",
	 "1: it had its answer before, within at_once_share of hold or at_once_times what the first one's took",
	 "at once", SHOW_NONZERO},
	{"alone_ns", "from the first client's request to its answer, while it was alone"},
	{"latency_ns", "from the second client's request to its answer", "answer|after"},
	{"held_ns", "from this request until the first client left"},
	{"wrong_bytes", "of all answers", .zero = true, .sham = "greet"},
	{0}};

static const struct bound bounds[] = {
	{"enough_attempts", 7, "of each kind of server: a wait by chance would not come each time"},
	{"at_once_share", 0.2, "of hold: 4 ms or more; a wake-up and an answer take 0.1 ms"},
	{"at_once_times", 10, "a slow machine is as slow for a client that is alone"},
	{"usual_share", 0.9, "what is said of a server is so in most attempts"},
	{0}};

static int64_t hold_ms = 100;
static int64_t attempts = 4;

static const struct opt opts[] = {
	{0, "hold", "how long the first client is silent at least", .num = &hold_ms, .min = 20,
	 .quick = 20, .max = 10000, .unit = OPT_MS},
	{'n', "attempts", "of each server started", .num = &attempts, .min = 1, .max = 1000},
	{0}};

/* The longest that an answer may take, to be one at once. */
static double at_once_ns(const struct run *run, int64_t alone_ns)
{
	return fmax(run_bound(run, "at_once_share") * (double)hold_ms * 1e6,
		    run_bound(run, "at_once_times") * (double)alone_ns);
}

static void attempt(struct run *run, const struct server *server, int64_t number)
{
	int first = check_fd(server_connect(server), "connect");
	int64_t wrong = 0;
	int second;
	int64_t begin_ns = span_now();
	int64_t alone_ns, latency_ns, left_ns;
	enum answer answer;

	server_ask(server, first, INT64_MAX / 2, &wrong);
	alone_ns = span_now() - begin_ns;
	second = check_fd(server_connect(server), "connect");
	begin_ns = span_now();
	answer = server_ask(server, second, hold_ms * 1000000, &wrong);
	latency_ns = left_ns = span_now() - begin_ns;
	close(first);
	if (answer == WAITING) {
		server_answer(server, second, INT64_MAX / 2, &wrong);
		latency_ns = span_now() - begin_ns;
	}
	close(second);
	run_record(run, (struct field[]){{"attempt", number},
					 {"waited", answer == WAITING},
					 {"at_once",
					  answer == ANSWERED &&
						  (double)latency_ns <= at_once_ns(run, alone_ns)},
					 {"alone_ns", alone_ns},
					 {"latency_ns", latency_ns},
					 {"held_ns", left_ns},
					 {"wrong_bytes", wrong},
					 {0}});
}

/* --- judge --------------------------------------------------------------- */

static void judge(struct run *run)
{
	int64_t enough = (int64_t)run_bound(run, "enough_attempts");
	struct share waited = run_nonzero(run, ITERATIVE, "waited");
	const char *who = "none";
	struct share late = {0};
	struct share at_once = {0};
	double longest_ns = 0;

	run_judge(
		run, "srv-iterative-waits", always_happens(waited, enough),
		"in {waited} attempts the second client had no answer before the first one left; it came after {latency_ns}, {held_ns} of them before that",
		number_share("waited", waited),
		number_real("latency_ns", run_median(run, ITERATIVE, "latency_ns")),
		number_real("held_ns", run_median(run, ITERATIVE, "held_ns")));
	for (size_t v = 0; v < MODELS; v++) {
		struct share waits;

		if (v == ITERATIVE || !run_selected(run, v))
			continue;
		waits = run_nonzero(run, v, "waited");
		who = waits.k > 0 ? variants[v].name : who;
		late = share_add(late, waits);
		at_once = share_add(at_once, run_nonzero(run, v, "at_once"));
		longest_ns = fmax(longest_ns, stats_quantile(run_values(run, v, "latency_ns"), 1));
	}
	run_judge(
		run, "srv-concurrent-at-once",
		all_of(never_happens(late, enough),
		       share_above(at_once, run_bound(run, "usual_share"))),
		late.k > 0
			? MESSAGE("{who} let the second client wait; of all concurrent servers' attempts {late} waited")
			: MESSAGE("{at_once} attempts of all concurrent servers were answered while the first client was silent, within {within_ns} or {times} times what that one's own answer took; the longest took {longest_ns}"),
		number_text("who", who), number_share("late", late),
		number_share("at_once", at_once), number_real("within_ns", at_once_ns(run, 0)),
		number_real("times", run_bound(run, "at_once_times")),
		number_real("longest_ns", longest_ns));
	server_note_cpus(run);
}

static const struct experiment about = {
	.name = "waits",
	.group = "echo",
	.order = 601,
	.summary = "Who waits for whom? A second client asks while the first one is silent.",
	.intro =
		"The first client is connected, was answered once and is silent for {hold_ms} or until the second one has its answer; {attempts} times a trial.",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.fields = fields,
	.bounds = bounds,
	.trials = 10,
	.quick_trials = 2,
	.timed = true,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	models_leave_out(run, variants, MODELS);
	while (run_next(run)) {
		struct server server = server_start(run, run_how(run), SERVER_CPU, 2, NULL);

		run_pin(LOAD_CPU);
		for (int64_t i = 0; i < attempts; i++)
			attempt(run, &server, i);
		run_pin(ALL_CPUS);
		server_stop(&server);
	}
	return run_end(run);
}
