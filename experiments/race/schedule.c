/* SPDX-License-Identifier: MIT */
/*
 * schedule - which schedule ends at 2?  The one with the fewest switches, executed by real threads.
 *
 * Two threads of x += 1, N times each, may end at 2 whatever N is: one loads 0 and stops; the other
 * does all but its last update; the first one stores 1 over them; the second one loads that 1 for
 * its last update, and stops; the first one does all of its own; the second one stores 2.
 *
 * For each x this finds a schedule of the steps that ends there with the fewest context switches: a
 * dynamic programme, from the end backwards, over the states of schedule.h and who moved last.
 * Real threads then execute it, one step at a time, and must end at that x.  The other control:
 * where all schedules are few enough each is executed, and none gets there with fewer switches.
 */
#include <err.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "language.h"
#include "schedule.h"
#include "span.h"
#include "team.h"
#include "text.h"

enum { PLUS_MINUS, INCREMENTS, PROGRAMS, TWO = 2, SMALL_N = 3, REPLAYS = 100, NO_WAY = 255 };

static const struct variant variants[] = {
	[PLUS_MINUS] = {"+/-", "x += 1 in one thread, x -= 1 in the other"},
	[INCREMENTS] = {"++", "x += 1 in each thread"},
	{0}};

static const struct claim claims[] = {
	{"race-ends-at-two", "two threads that do x += 1 N times each can end with x = 2", "below",
	 NOT_SEEN,
	 .why = {[HOLDS] =
			 "a thread that has loaded x may lose its CPU for any time; then it stores over all that the other has done meanwhile. Two such waits are enough to end at 2."}},
	{0}};

static const struct row_field fields[] = {
	{"program", "+/- or ++", .text = true},
	{"threads", "that update x"},
	{"iterations", "N, updates of each thread", "N", .key = true},
	{"exact_x", "of a safe program", "a safe|program", SHOW_FIRST},
	{"lowest_x", "the least x that a schedule ends at", "the|least", SHOW_FIRST},
	{"highest_x", "the greatest", "the|most", SHOW_FIRST},
	{"two_switches", "the fewest switches of a schedule that ends at 2; -1: none does",
	 "switches|to 2", SHOW_FIRST},
	{"results", "how many x are reached"},
	{"ends_at_two",
	 "1: a schedule ends at 2 and real threads that took it did; of N > 1, where 2 is wrong"},
	{"executed", "schedules that were executed one by one; 0: too many", "executed", SHOW_SUM},
	{"wrong_executed", "1: that found other fewest switches", .zero = true, .sham = "execute"},
	{"replays", "schedules run by real threads", "run by|threads", SHOW_SUM},
	{"wrong_replays", "of these, that ended elsewhere", .zero = true, .sham = "replay"},
	{"elapsed_ns", "of the search"},
	{"iterations", "N", .row = "x"},
	{"x", "at the end", .row = "x"},
	{"switches", "the fewest that end there; -1: none does", .row = "x"},
	{"iterations", "N", .row = "witness"},
	{"x", "that was searched for", .row = "witness"},
	{"switches", "of the schedule", .row = "witness"},
	{"replayed_x", "where real threads ended", .row = "witness"},
	{"schedule", "who takes each step; a thread's steps are load and store by turns",
	 .row = "witness", .text = true},
	{0}};

static int64_t threads = 2;
static int64_t iterations; /* 0 = several */
static int64_t most_n = SCHEDULE_N;
static int64_t reach = TWO;
static bool replay_more;

static const struct opt opts[] = {
	{'t', "threads", "threads; 3 for up to 12 updates each", .num = &threads, .min = 2,
	 .max = SCHEDULE_THREADS},
	{'n', "iterations", "updates of each thread", .num = &iterations, .max = SCHEDULE_N,
	 .zero = "1, 2, 3, 4, 5, 12, 50 and 100, up to --most"},
	{0, "most", "the greatest N without --iterations; with 3 threads at most 5", .num = &most_n,
	 .min = 1, .max = SCHEDULE_N, .quick = 12},
	{'x', "reach", "print the schedule with the fewest switches that ends at this x",
	 .num = &reach, .min = -SCHEDULE_N, .max = SCHEDULE_N + SCHEDULE_N},
	{0, "replay", "have real threads run that schedule 100 times more", .flag = &replay_more},
	{0}};

/* --- the fewest switches -------------------------------------------------- */

/* From a place and state on, if x is still to gain so much and this thread moved last. */
static size_t index_of(const struct schedules *s, size_t place, int state, int gain, int last)
{
	size_t row = place * (size_t)(s->threads + 1) + (size_t)state;

	return (row * s->xs + (size_t)(gain - s->low)) * (size_t)s->threads + (size_t)last;
}

/* What a move costs with all that follows it. */
static int cost_of(const struct schedules *s, const uint8_t *fewest, size_t place,
		   const struct schedule_move *m, int gain, int last)
{
	int rest = gain - m->gain, then;

	if (rest < s->low || rest > s->high)
		return NO_WAY;
	then = fewest[index_of(s, m->to, m->then, rest, m->who)];
	return then == NO_WAY ? NO_WAY : then + (place > 0 && m->who != last);
}

/* One place of the table: the cheapest move of each state. */
static void look_ahead(const struct schedules *s, uint8_t *fewest, size_t place)
{
	struct schedule_move moves[SCHEDULE_MOVES];
	size_t n = schedule_moves(s, place, moves);

	for (const struct schedule_move *m = moves; m < moves + n; m++)
		for (int gain = s->low; gain <= s->high; gain++)
			for (int last = 0; last < s->threads; last++) {
				int cost = cost_of(s, fewest, place, m, gain, last);
				uint8_t *least = &fewest[index_of(s, place, m->state, gain, last)];

				if (cost < *least)
					*least = (uint8_t)cost;
			}
}

/* The table of all places; of no use if stopped. */
static uint8_t *search(const struct schedules *s)
{
	size_t size = s->places * (size_t)(s->threads + 1) * s->xs * (size_t)s->threads;
	uint8_t *fewest = check_alloc(malloc(size));

	memset(fewest, NO_WAY, size);
	memset(&fewest[index_of(s, s->places - 1, SCHEDULE_FREE, 0, 0)], 0, (size_t)s->threads);
	for (size_t place = s->places - 1; place-- > 0 && !run_stopped();)
		look_ahead(s, fewest, place);
	return fewest;
}

/* The fewest switches of a schedule that ends at x; -1 if there is none. */
static int switches_to(const struct schedules *s, const uint8_t *fewest, int64_t x)
{
	int switches = NO_WAY;

	if (x >= s->low && x <= s->high)
		switches = fewest[index_of(s, 0, SCHEDULE_FREE, (int)x, 0)];
	return switches == NO_WAY ? -1 : switches;
}

/* A schedule with the fewest switches that ends at x, where there is one: "ABBA". */
static void find(const struct schedules *s, const uint8_t *fewest, int x, char *schedule)
{
	size_t place = 0;
	int state = SCHEDULE_FREE, last = 0;

	while (place < s->places - 1) {
		struct schedule_move moves[SCHEDULE_MOVES];
		size_t n = schedule_moves(s, place, moves);
		int least = fewest[index_of(s, place, state, x, last)];
		const struct schedule_move *m = moves;

		while (m < moves + n &&
		       (m->state != state || cost_of(s, fewest, place, m, x, last) != least))
			m++;
		*schedule++ = (char)('A' + m->who);
		place = m->to;
		state = m->then;
		last = m->who;
		x -= m->gain;
	}
	*schedule = '\0';
}

/* --- real threads, of which only the one whose turn it is moves ------------ */

/* A schedule, and what came of it. */
struct script {
	char schedule[SCHEDULE_STEPS + 1];
	int value[SCHEDULE_STEPS]; /* what each step loaded or stored */
	int switches, right;       /* of the replays with --replay */
};

struct stage {
	const struct schedules *s;
	struct script *script;
	size_t turn;
	_Atomic int x;
	pthread_mutex_t lock;
	pthread_cond_t moved;
};

static void act(int who, void *argument)
{
	struct stage *stage = argument;
	int reg = 0;

	pthread_mutex_lock(&stage->lock);
	for (int i = 0; i < 2 * stage->s->n; i++) {
		while (stage->script->schedule[stage->turn] != 'A' + who)
			pthread_cond_wait(&stage->moved, &stage->lock);
		if (i % 2 == 0) {
			reg = atomic_load_explicit(&stage->x, memory_order_relaxed);
		} else {
			reg += stage->s->step[who];
			atomic_store_explicit(&stage->x, reg, memory_order_relaxed);
		}
		stage->script->value[stage->turn++] = reg;
		pthread_cond_broadcast(&stage->moved);
	}
	pthread_mutex_unlock(&stage->lock);
}

/* Executes a schedule; returns x. */
static int replay(const struct schedules *s, struct script *script)
{
	struct stage stage = {.s = s, .script = script};
	struct team team;

	check(pthread_mutex_init(&stage.lock, NULL), "pthread_mutex_init");
	check(pthread_cond_init(&stage.moved, NULL), "pthread_cond_init");
	team_start(&team, s->threads, TEAM_FREE, act, &stage);
	team_join(&team);
	pthread_cond_destroy(&stage.moved);
	pthread_mutex_destroy(&stage.lock);
	return atomic_load(&stage.x);
}

/* --- one trial ------------------------------------------------------------ */

/* Which x are reached: the least, the greatest, and how many. */
struct reached {
	int low, high, results;
};

/* For the report, the schedule to --reach, the same in every trial; "": none gets there. */
static struct script told[PROGRAMS];

/* The N of the schedule that is printed. */
static int told_n(void)
{
	return (int)(iterations > 0 ? iterations : most_n < SMALL_N ? most_n : SMALL_N);
}

static struct reached reached_of(const struct schedules *s, const uint8_t *fewest)
{
	struct reached r = {0};

	for (int x = s->low; x <= s->high; x++) {
		if (switches_to(s, fewest, x) < 0)
			continue;
		if (r.results++ == 0)
			r.low = x;
		r.high = x;
	}
	return r;
}

/* How many x have other fewest switches than found by executing each schedule. */
static int64_t compare(const struct schedules *s, const uint8_t *fewest, int64_t *executed)
{
	struct schedule_end ends[SCHEDULE_TRIED];
	int64_t wrong = 0;

	*executed = schedules_execute(s, ends);
	for (int x = s->low; x <= s->high && *executed; x++)
		wrong += switches_to(s, fewest, x) != ends[x - s->low].switches;
	return wrong;
}

/* Has threads run the schedule to x, where there is one; whether it ended elsewhere. */
static bool replay_to(struct run *run, const struct schedules *s, const uint8_t *fewest, int x)
{
	struct script w = {.switches = switches_to(s, fewest, x)};
	bool tell = x == reach && s->n == told_n();
	int end;

	find(s, fewest, x, w.schedule);
	end = replay(s, &w);
	for (int i = 0; i < REPLAYS && tell && replay_more; i++)
		w.right += replay(s, &w) == x;
	if (tell)
		told[run_variant(run)] = w;
	run_row(run, "witness",
		(struct field[]){{"iterations", s->n},
				 {"x", x},
				 {"switches", w.switches},
				 {"replayed_x", end},
				 {"schedule", .text = w.schedule},
				 {0}});
	return end != x || (tell && replay_more && w.right < REPLAYS);
}

static void measure(struct run *run, int n)
{
	int64_t begin_ns = span_now(), executed, replays = 0, wrong_replays = 0;
	struct schedules s = schedules_of((int)threads, n, run_variant(run) == INCREMENTS);
	uint8_t *fewest = search(&s);
	struct reached r = reached_of(&s, fewest);
	int64_t wrong_executed = compare(&s, fewest, &executed);
	int two = switches_to(&s, fewest, run_sham(run, "below") ? 1 : TWO);

	for (int x = s.low; x <= s.high && !run_stopped(); x++) {
		int switches = switches_to(&s, fewest, x);

		run_row(run, "x",
			(struct field[]){{"iterations", n}, {"x", x}, {"switches", switches}, {0}});
		if (switches < 0 || (x != r.low && x != 0 && x != TWO && x != r.high && x != reach))
			continue;
		replays++;
		wrong_replays += replay_to(run, &s, fewest, x);
	}
	if (!run_stopped())
		run_record(run,
			   (struct field[]){
				   {"program", .text = variants[run_variant(run)].name},
				   {"threads", threads},
				   {"iterations", n},
				   {"exact_x", schedules_exact_x(&s)},
				   {"lowest_x", r.low},
				   {"highest_x", r.high},
				   {"results", r.results},
				   {"two_switches", two},
				   {"executed", executed},
				   {"wrong_executed", wrong_executed + run_sham(run, "execute")},
				   {"replays", replays},
				   {"wrong_replays", wrong_replays + run_sham(run, "replay")},
				   {"elapsed_ns", span_now() - begin_ns},
				   {n > 1 ? "ends_at_two" : NULL, two >= 0 && wrong_replays == 0},
				   {0}});
	free(fewest);
}

/* --- judge --------------------------------------------------------------- */

static void judge(struct run *run)
{
	struct share two = run_nonzero(run, INCREMENTS, "ends_at_two");

	run_judge(
		run, "race-ends-at-two", iterations == 1 ? SKIPPED : can_happen(two),
		iterations == 1
			? MESSAGE("with N = 1, 2 is right")
			: MESSAGE("with {two} N a schedule ends at 2, and real threads that took it ended there, after {switches} switches at most"),
		number_share("two", two),
		number_real("switches",
			    stats_quantile(run_values(run, INCREMENTS, "two_switches"), 1)));
}

/* What one thread does between two switches: steps i to end; long ones without their middle. */
static void print_slice(FILE *out, const struct script *w, size_t i, size_t end, size_t done)
{
	const size_t shown_most = 12, shown_first = 4;
	char *line = NULL;
	size_t size;
	FILE *text = open_memstream(&line, &size);

	if (!text)
		err(EXIT_USAGE, "open_memstream");
	for (size_t k = i; k < end; k++) {
		if (end - i > shown_most && k == i + shown_first) {
			k = end - shown_first;
			fputs(", ", text);
			fprintf(text, translated("... (%zu steps) ..."), end - i - 2 * shown_first);
		}
		fputs(k > i ? ", " : "", text);
		fprintf(text,
			translated((done + k - i) % 2 ? MESSAGE("stores %d") : MESSAGE("loads %d")),
			w->value[k]);
	}
	fclose(text);
	fprintf(out, "    %c  ", w->schedule[i]);
	text_wrap(out, 7, 7, line);
	free(line);
}

static void print_schedule(struct run *run, size_t p)
{
	const struct script *w = &told[p];
	size_t done[SCHEDULE_THREADS] = {0};

	if (!w->schedule[0]) {
		run_say(run, "%s, N = %d: no schedule ends at %lld.", variants[p].name, told_n(),
			(long long)reach);
		return;
	}
	run_say(run,
		"%s, N = %d: no schedule gets to %lld with fewer than %d switches; as run by "
		"real threads:",
		variants[p].name, told_n(), (long long)reach, w->switches);
	for (size_t i = 0, end; w->schedule[i]; i = end) {
		size_t *thread_done = &done[w->schedule[i] - 'A'];

		end = i + strspn(w->schedule + i, (char[]){w->schedule[i], '\0'});
		print_slice(run_out(run), w, i, end, *thread_done);
		*thread_done += end - i;
	}
	if (replay_more)
		run_say(run, "%d of %d replays more ended at %lld too.", w->right, REPLAYS,
			(long long)reach);
}

static void draw(struct run *run)
{
	for (size_t p = 0; p < PROGRAMS; p++)
		if (run_selected(run, p))
			print_schedule(run, p);
	fputc('\n', run_out(run));
}

static const struct experiment about = {
	.name = "schedule",
	.group = "race",
	.order = 110,
	.summary = "Which schedule of two threads ends at x = 2? Found, and run by real threads.",
	.intro = "{threads} threads, N updates each: load x, store it + 1 or - 1.",
	.claims = claims,
	.fields = fields,
	.opts = opts,
	.variants = variants,
	.trials = 1,
	.quick_trials = 1,
	.judge = judge,
	.draw = draw,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);
	int n[SCHEDULE_SIZES];
	size_t sizes = schedule_sizes((int)threads, iterations, most_n, n);

	while (run_next(run))
		for (size_t i = 0; i < sizes && !run_stopped(); i++)
			measure(run, n[i]);
	return run_end(run);
}
