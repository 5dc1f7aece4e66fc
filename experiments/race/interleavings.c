/* SPDX-License-Identifier: MIT */
/* needs: gmp */
/*
 * interleavings - where can x end?  Every schedule of two threads of N updates, counted exactly.
 *
 * An update is a load of x into a register and a store of that register + 1 or - 1.  Two threads
 * of N updates have C(4N, 2N) schedules, 10^119 of them at N = 100: they are counted by a dynamic
 * programme.  x at the end is what the last store wrote; that follows from its load, which read
 * the store before it, and so on, back to the initial 0.  Only this chain of updates matters.  So
 * a schedule is read from its beginning, and each load is either the chain's next one or not:
 *
 *	free   the chain's newest store is in x.  Any thread may load; the load may be the
 *	       chain's next.  Nobody may store: the chain's next load has to read this store.
 *	held   by a thread that has loaded for the chain.  The others do as they like, whatever
 *	       they store is overwritten; the holder's store adds its step, and x is free again.
 *
 * Each schedule is one way through these states, so the ways to the end with x are the number of
 * schedules that end at x: positions of the threads x states x values, and O(1) additions each.
 *
 * The same states give the fewest context switches that end at x, with a schedule that does it,
 * which is then executed by real threads, one step at a time.
 */
#include <err.h>
#include <gmp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "exp.h"
#include "span.h"
#include "text.h"

enum { MOST_THREADS = 3, MOST_N = 100, MOST_N_OF_3 = 12, MOST_STEPS = 2 * 2 * MOST_N };
enum { FREE, MOST_MOVES = MOST_THREADS * (MOST_THREADS + 2), NO_WAY = 255 };
enum { SIZES = 8, SMALL_N = 3, REPLAYS = 100, MOST_TRIED = 32 };

static const struct program {
	const char *name;
	int step[MOST_THREADS]; /* what each thread adds */
} programs[] = {{"+/-", {1, -1, 1}}, {"++", {1, 1, 1}}};

enum { PROGRAMS = sizeof(programs) / sizeof(programs[0]) };

static const struct variant variants[] = {
	{"+/-", "x += 1 in one thread, x -= 1 in the other"}, {"++", "x += 1 in each thread"}, {0}};

static const struct claim claims[] = {
	{"race-interleavings", "every result between the extremes is reachable"}, {0}};

/*
 * Where a thread may be made to wait: at each | in what one update executes.  L loads x, S stores
 * it; of CPython also F FOR_ITER, C LOAD_CONST, A INPLACE_ADD, J the jump back, f a function's
 * name, ( its call.
 */
static const struct policy {
	const char *name, *code, *where;
} policies[] = {{"every", "L|S|", "C threads: between any two steps"},
		{"upto39", "F|L|CA|S|J|", "up to CPython 3.9: x += 1"},
		{"from310", "FLCASJ|", "from 3.10: x += 1"},
		{"call310", "FLf(|ASJ|", "from 3.10: x += f()"},
		{"first310", "Ff(|LASJ|", "from 3.10: x = f() + x"}};

enum { POLICIES = sizeof(policies) / sizeof(policies[0]) };

static const char *const policy_names[] = {"every",   "upto39",   "from310",
					   "call310", "first310", NULL};
static int64_t threads = 2;
static int64_t iterations; /* 0 = several */
static int64_t most_n = 100;
static int64_t reach = 2;
static bool replay_more;
static const char *checkpoints = "every";

static const struct opt opts[] = {
	{'t', "threads", "threads; 3 for up to 12 updates each", .num = &threads, .min = 2,
	 .max = MOST_THREADS},
	{'n', "iterations", "updates of each thread", .num = &iterations, .max = MOST_N,
	 .zero = "1, 2, 3, 4, 5, 12, 50 and 100, up to --most"},
	{0, "most", "the greatest N without --iterations; with 3 threads at most 5", .num = &most_n,
	 .min = 1, .max = MOST_N, .quick = 12},
	{'x', "reach", "print the schedule with the fewest switches that ends at this x",
	 .num = &reach, .min = -MOST_N, .max = MOST_N + MOST_N},
	{0, "replay", "have real threads run that schedule 100 times more", .flag = &replay_more},
	{0, "checkpoints", "where a thread can lose the CPU; upto39 ... are CPython's GIL",
	 .text = &checkpoints, .choices = policy_names},
	{0}};

static const struct experiment about = {
	.name = "interleavings",
	.group = "race",
	.summary = "Every schedule of two threads that update x without a lock, counted: where can "
		   "x end?",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.trials = 1,
	.quick_trials = 1,
};

/* --- the states ---------------------------------------------------------- */

struct task {
	const int *step;
	int threads, n;
	bool split;      /* a switch may come between the load and the store */
	int low, high;   /* what x can be at all */
	size_t side, xs; /* positions of a thread: 0 to 2N steps done; values of x */
	size_t places, stride[MOST_THREADS];
};

/* Whether there is a check point between the load and the store. */
static bool splits(const char *code)
{
	const char *load = strchr(code, 'L');

	return memchr(load, '|', (size_t)(strchr(load, 'S') - load)) != NULL;
}

static struct task task_of(const struct program *program, int n, const char *code)
{
	struct task t = {.step = program->step,
			 .threads = (int)threads,
			 .n = n,
			 .split = splits(code),
			 .side = 2 * (size_t)n + 1,
			 .places = 1};

	for (int i = t.threads - 1; i >= 0; i--) {
		*(t.step[i] > 0 ? &t.high : &t.low) += t.step[i] * n;
		t.stride[i] = t.places;
		t.places *= t.side;
	}
	t.xs = (size_t)(t.high - t.low) + 1;
	return t;
}

static int exact_x(const struct task *t)
{
	return t->high + t->low; /* every +1 and every -1 */
}

/* A step that a thread may take: from one place and state to another, and what x gains. */
struct move {
	int who, mode, then, gain;
	size_t to;
};

static bool may_move(const struct task *t, const int at[], int who)
{
	for (int i = 0; i < t->threads && !t->split; i++)
		if (i != who && at[i] % 2)
			return false; /* the one that has loaded goes on to its store */
	return at[who] < 2 * t->n;
}

/* All of a place, as said at the top; `who` holds x in state 1 + who. */
static size_t moves(const struct task *t, size_t place, struct move list[MOST_MOVES])
{
	int at[MOST_THREADS] = {0};
	size_t n = 0;

	for (int i = 0; i < t->threads; i++)
		at[i] = (int)(place / t->stride[i] % t->side);
	for (int who = 0; who < t->threads; who++) {
		bool loads = at[who] % 2 == 0;
		size_t to = place + t->stride[who];

		if (!may_move(t, at, who))
			continue;
		for (int other = 0; other < t->threads; other++)
			if (other != who)
				list[n++] = (struct move){who, 1 + other, 1 + other, 0, to};
		if (loads) {
			list[n++] = (struct move){who, FREE, FREE, 0, to};
			list[n++] = (struct move){who, FREE, 1 + who, 0, to};
		} else {
			list[n++] = (struct move){who, 1 + who, FREE, t->step[who], to};
		}
	}
	return n;
}

/* --- how many schedules -------------------------------------------------- */

/* (k m)! / (m!)^k */
static void multinomial(mpz_t all, unsigned long m, unsigned long k)
{
	mpz_t factor;

	mpz_init(factor);
	mpz_set_ui(all, 1);
	for (unsigned long i = 2; i <= k; i++) {
		mpz_bin_uiui(factor, i * m, m);
		mpz_mul(all, all, factor);
	}
	mpz_clear(factor);
}

/* to[x + shift] += from[x], for every x. */
static void add_all(mp_limb_t *to, const mp_limb_t *from, size_t xs, int shift, mp_size_t limbs)
{
	for (size_t x = shift < 0; x + (shift > 0) < xs; x++) {
		const mp_limb_t *number = from + x * (size_t)limbs;
		mp_limb_t *sum = to + (size_t)((ptrdiff_t)x + shift) * (size_t)limbs;

		if (!mpn_zero_p(number, limbs))
			mpn_add_n(sum, sum, number, limbs);
	}
}

/*
 * The number of schedules for each x, so many limbs each; of no use if stopped.  Kept are the
 * places with the first thread where it is, and one step further.
 */
static mp_limb_t *count(const struct task *t, mp_size_t limbs)
{
	size_t numbers = t->xs * (size_t)limbs;
	size_t cell = (size_t)(t->threads + 1) * numbers;
	size_t slab = t->stride[0];
	mp_limb_t *kept = calloc(2 * slab * cell, sizeof(*kept));
	mp_limb_t *last;

	if (!kept)
		err(EXIT_USAGE, "calloc");
	kept[(size_t)-t->low * (size_t)limbs] = 1;
	for (size_t place = 0; place + 1 < t->places && !run_stopped(); place++) {
		mp_limb_t *here = kept + place % (2 * slab) * cell;
		struct move list[MOST_MOVES];
		size_t n = moves(t, place, list);

		for (const struct move *m = list; m < list + n; m++)
			add_all(kept + m->to % (2 * slab) * cell + (size_t)m->then * numbers,
				here + (size_t)m->mode * numbers, t->xs, m->gain, limbs);
		memset(here, 0, cell * sizeof(*here)); /* for the place two steps further */
	}
	last = calloc(numbers, sizeof(*last));
	if (!last)
		err(EXIT_USAGE, "calloc");
	memcpy(last, kept + (t->places - 1) % (2 * slab) * cell, numbers * sizeof(*last));
	free(kept);
	return last;
}

/* --- the fewest switches ------------------------------------------------- */

/* The fewest switches to each place, state, x and thread that moved last. */
static size_t cost_at(const struct task *t, size_t place, int mode, int x, int last)
{
	size_t state = place * (size_t)(t->threads + 1) + (size_t)mode;

	return (state * t->xs + (size_t)(x - t->low)) * (size_t)t->threads + (size_t)last;
}

static bool possible(const struct task *t, int x)
{
	return x >= t->low && x <= t->high;
}

/* Tells the state after a move what it costs from each state before. */
static void relax(const struct task *t, uint8_t *cost, size_t place, const struct move *m, int x)
{
	const uint8_t *before = &cost[cost_at(t, place, m->mode, x, 0)];

	for (int last = 0; last < t->threads; last++) {
		uint8_t now = before[last] + (place > 0 && m->who != last);
		uint8_t *then;

		if (before[last] >= NO_WAY - 1)
			continue;
		then = &cost[cost_at(t, m->to, m->then, x + m->gain, m->who)];
		if (*then > now)
			*then = now;
	}
}

static uint8_t *fewest(const struct task *t)
{
	size_t all = t->places * (size_t)(t->threads + 1) * t->xs * (size_t)t->threads;
	uint8_t *cost = malloc(all);

	if (!cost)
		err(EXIT_USAGE, "malloc");
	memset(cost, NO_WAY, all);
	memset(&cost[cost_at(t, 0, FREE, 0, 0)], 0, (size_t)t->threads);
	for (size_t place = 0; place + 1 < t->places && !run_stopped(); place++) {
		struct move list[MOST_MOVES];
		size_t n = moves(t, place, list);

		for (const struct move *m = list; m < list + n; m++)
			for (int x = t->low; x <= t->high; x++)
				relax(t, cost, place, m, x);
	}
	return cost;
}

/* The fewest switches to the end and x, if this thread moves last; NO_WAY if it cannot be. */
static int switches_with(const struct task *t, const uint8_t *cost, int x, int last)
{
	return possible(t, x) ? cost[cost_at(t, t->places - 1, FREE, x, last)] : NO_WAY;
}

static int switches_to(const struct task *t, const uint8_t *cost, int x)
{
	int best = NO_WAY;

	for (int last = 0; last < t->threads; last++)
		if (switches_with(t, cost, x, last) < best)
			best = switches_with(t, cost, x, last);
	return best;
}

/* Goes one step back on a cheapest way; false if there is none, which cannot be. */
static bool step_back(const struct task *t, const uint8_t *cost, size_t *place, int *mode, int *x,
		      int *last)
{
	uint8_t now = cost[cost_at(t, *place, *mode, *x, *last)];
	size_t from = *place - t->stride[*last];
	struct move list[MOST_MOVES];
	size_t n = moves(t, from, list);

	for (const struct move *m = list; m < list + n; m++)
		for (int before = 0; before < t->threads; before++) {
			int switched = from > 0 && before != *last;
			int old = *x - m->gain;

			if (m->who != *last || m->then != *mode || !possible(t, old) ||
			    cost[cost_at(t, from, m->mode, old, before)] + switched != now)
				continue;
			*place = from;
			*mode = m->mode;
			*x = old;
			*last = before;
			return true;
		}
	return false;
}

/* A schedule with the fewest switches that ends at x, as there is one: who moves, "ABBA ...". */
static void witness(const struct task *t, const uint8_t *cost, int x, char schedule[])
{
	size_t place = t->places - 1;
	size_t i = 2 * (size_t)t->n * (size_t)t->threads;
	int mode = FREE;
	int last = 0;

	while (switches_with(t, cost, x, last) != switches_to(t, cost, x))
		last++;
	schedule[i] = '\0';
	while (place > 0) {
		schedule[--i] = (char)('A' + last);
		if (!step_back(t, cost, &place, &mode, &x, &last))
			errx(EXIT_USAGE, "no way back from a place that was reached");
	}
}

/* --- the controls: every schedule one by one, and in real threads -------- */

/* The next schedule in alphabetical order; false after the last one. */
static bool next_schedule(char *schedule, size_t n)
{
	size_t i = n - 1;
	size_t k = n - 1;
	char swap;

	while (i > 0 && schedule[i - 1] >= schedule[i])
		i--;
	if (i == 0)
		return false;
	while (schedule[k] <= schedule[i - 1])
		k--;
	swap = schedule[i - 1];
	schedule[i - 1] = schedule[k];
	schedule[k] = swap;
	for (k = n - 1; i < k; i++, k--) {
		swap = schedule[i];
		schedule[i] = schedule[k];
		schedule[k] = swap;
	}
	return true;
}

/* Executes one; returns whether each switch in it is allowed. */
static bool execute(const struct task *t, const char *schedule, int *x, int *switches)
{
	int at[MOST_THREADS] = {0};
	int reg[MOST_THREADS] = {0};

	*x = *switches = 0;
	for (size_t i = 0; schedule[i]; i++) {
		int who = schedule[i] - 'A';

		if (i > 0 && schedule[i] != schedule[i - 1]) {
			++*switches;
			if (!t->split && at[schedule[i - 1] - 'A'] % 2)
				return false;
		}
		if (at[who]++ % 2 == 0)
			reg[who] = *x;
		else
			*x = reg[who] + t->step[who];
	}
	return true;
}

/* Real threads, of which only the one whose turn it is moves. */
struct stage {
	const struct task *t;
	const char *schedule;
	size_t turn;
	_Atomic int x;
	int value[MOST_STEPS]; /* what each step loaded or stored */
	pthread_mutex_t lock;
	pthread_cond_t moved;
};

struct actor {
	struct stage *stage;
	int who;
	pthread_t thread;
};

static void *act(void *argument)
{
	const struct actor *self = argument;
	struct stage *s = self->stage;
	int reg = 0;

	pthread_mutex_lock(&s->lock);
	for (int i = 0; i < 2 * s->t->n; i++) {
		while (s->schedule[s->turn] != 'A' + self->who)
			pthread_cond_wait(&s->moved, &s->lock);
		if (i % 2 == 0) {
			reg = atomic_load_explicit(&s->x, memory_order_relaxed);
		} else {
			reg += s->t->step[self->who];
			atomic_store_explicit(&s->x, reg, memory_order_relaxed);
		}
		s->value[s->turn++] = reg;
		if (s->schedule[s->turn] != 'A' + self->who)
			pthread_cond_broadcast(&s->moved);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* Executes a schedule; returns x. */
static int replay(const struct task *t, const char *schedule, int value[MOST_STEPS])
{
	struct stage s = {.t = t, .schedule = schedule};
	struct actor actors[MOST_THREADS];

	check(pthread_mutex_init(&s.lock, NULL), "pthread_mutex_init");
	check(pthread_cond_init(&s.moved, NULL), "pthread_cond_init");
	for (int i = 0; i < t->threads; i++) {
		actors[i] = (struct actor){.stage = &s, .who = i};
		check(pthread_create(&actors[i].thread, NULL, act, &actors[i]), "pthread_create");
	}
	for (int i = 0; i < t->threads; i++)
		check(pthread_join(actors[i].thread, NULL), "pthread_join");
	pthread_cond_destroy(&s.moved);
	pthread_mutex_destroy(&s.lock);
	memcpy(value, s.value, sizeof(s.value));
	return atomic_load(&s.x);
}

/* --- one trial ----------------------------------------------------------- */

/* Which x can be reached: the least, the greatest, and how many. */
struct reached {
	int low, high, results;
};

/* What the report shows of each program and N: the same in every trial. */
static struct shown {
	int n;
	struct reached reached;
	char *schedules, *lowest; /* how many there are, and how many end at the least x */
	double exact_share, unlost_share;
	double *shares; /* of each x from task.low on */
	int lowest_switches;
} shown[PROGRAMS][SIZES + 2]; /* those after the last are {0} */

static struct reached left[POLICIES][PROGRAMS]; /* at N = SMALL_N */

/* The schedule to --reach. */
static struct told {
	char schedule[MOST_STEPS + 1];
	int value[MOST_STEPS];
	int switches, right; /* of the replays with --replay */
} told[PROGRAMS];

/* What is computed of one program and N. */
struct exact {
	struct task t;
	mpz_t all; /* schedules */
	mp_limb_t *counts;
	mp_size_t limbs;
	uint8_t *cost;
};

static size_t sizes(int n[SIZES])
{
	static const int usual[SIZES] = {1, 2, 3, 4, 5, 12, 50, 100};
	size_t k = 0;

	if (iterations > 0) {
		n[0] = (int)iterations;
		return 1;
	}
	for (size_t i = 0; i < SIZES; i++)
		if (usual[i] <= most_n && (threads == 2 || usual[i] <= 5))
			n[k++] = usual[i];
	return k;
}

static int witness_n(void)
{
	return (int)(iterations > 0 ? iterations : most_n < SMALL_N ? most_n : SMALL_N);
}

static struct reached reached_of(const struct task *t, const uint8_t *cost)
{
	struct reached r = {0};

	for (int x = t->low; x <= t->high; x++) {
		if (switches_to(t, cost, x) == NO_WAY)
			continue;
		if (r.results++ == 0)
			r.low = x;
		r.high = x;
	}
	return r;
}

static struct reached reachable(const struct program *program, int n, const char *code)
{
	struct task t = task_of(program, n, code);
	uint8_t *cost = fewest(&t);
	struct reached r = reached_of(&t, cost);

	free(cost);
	return r;
}

/* The number of schedules that end at x; read only, not to be cleared. */
static void number_at(const struct exact *e, int x, mpz_t number)
{
	size_t i = (size_t)(x - e->t.low);

	mpz_roinit_n(number, e->counts + i * (size_t)e->limbs, e->limbs);
}

/* How many x have other schedules or fewest switches than found by executing each schedule. */
static int64_t compare(const struct exact *e, int64_t *executed)
{
	const struct task *t = &e->t;
	size_t steps = 2 * (size_t)t->n * (size_t)t->threads;
	uint64_t found[MOST_TRIED] = {0};
	int fewest_found[MOST_TRIED] = {0};
	char schedule[MOST_TRIED] = "";
	int64_t wrong = 0;
	int x, switches;
	mpz_t number;

	*executed = 0;
	if (steps > (t->threads == 2 ? 16 : 12))
		return 0;
	for (int i = 0; i < t->threads; i++)
		memset(schedule + strlen(schedule), 'A' + i, 2 * (size_t)t->n);
	do {
		if (!execute(t, schedule, &x, &switches))
			continue;
		++*executed;
		if (found[x - t->low]++ == 0 || switches < fewest_found[x - t->low])
			fewest_found[x - t->low] = switches;
	} while (next_schedule(schedule, steps));
	for (x = t->low; x <= t->high; x++) {
		int fewest_here = found[x - t->low] ? fewest_found[x - t->low] : NO_WAY;

		number_at(e, x, number);
		wrong += mpz_cmp_ui(number, found[x - t->low]) != 0 ||
			 switches_to(t, e->cost, x) != fewest_here;
	}
	return wrong;
}

/* Has threads run the schedule to x, if there is one; whether it ended elsewhere. */
static bool replay_to(struct run *run, const struct exact *e, int x, int64_t *replays)
{
	struct told w = {.switches = switches_to(&e->t, e->cost, x)};
	bool again = replay_more && x == reach && e->t.n == witness_n();
	int end;

	if (w.switches == NO_WAY)
		return false;
	witness(&e->t, e->cost, x, w.schedule);
	end = replay(&e->t, w.schedule, w.value);
	++*replays;
	for (int i = 0; i < REPLAYS && again; i++)
		w.right += replay(&e->t, w.schedule, w.value) == x;
	if (x == reach && e->t.n == witness_n())
		told[run_variant(run)] = w;
	run_row(run, "witness",
		(struct field[]){{"iterations", e->t.n},
				 {"x", x},
				 {"switches", w.switches},
				 {"replayed_x", end},
				 {"schedule", .text = w.schedule},
				 {0}});
	return end != x || (again && w.right < REPLAYS);
}

/* The extremes, 0, 2 and --reach. */
static int64_t replay_some(struct run *run, const struct exact *e, struct reached r,
			   int64_t *replays)
{
	int some[] = {r.low, 0, 2, r.high, (int)reach};
	int64_t wrong = 0;

	*replays = 0;
	for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
		bool again = false;

		for (size_t k = 0; k < i; k++)
			again |= some[k] == some[i];
		wrong += !again && replay_to(run, e, some[i], replays);
	}
	return wrong;
}

/* The rows of the distribution; whether they do not add up to all schedules. */
static bool record_counts(struct run *run, const struct exact *e, double *shares)
{
	double all = mpz_get_d(e->all);
	mpz_t sum, number;
	bool wrong;

	mpz_init(sum);
	for (int x = e->t.low; x <= e->t.high; x++) {
		int switches = switches_to(&e->t, e->cost, x);
		char *text;

		number_at(e, x, number);
		mpz_add(sum, sum, number);
		*shares++ = mpz_get_d(number) / all;
		text = mpz_get_str(NULL, 10, number);
		run_row(run, "x",
			(struct field[]){{"iterations", e->t.n},
					 {"x", x},
					 {"schedules", .text = text},
					 {"switches", switches == NO_WAY ? -1 : switches},
					 {0}});
		free(text);
	}
	wrong = mpz_cmp(sum, e->all) != 0;
	mpz_clear(sum);
	return wrong;
}

static void record(struct run *run, const struct exact *e, struct shown *s, int64_t begin_ns)
{
	const struct program *program = &programs[run_variant(run)];
	int n = e->t.n;
	struct reached r = reached_of(&e->t, e->cost);
	struct reached anywhere = e->t.split ? r : reachable(program, n, policies[0].code);
	int64_t executed, replays;
	int64_t wrong_executed = compare(e, &executed);
	int64_t wrong_replays = replay_some(run, e, r, &replays);
	bool wrong_sum;
	mpz_t number;

	free(s->schedules);
	free(s->lowest);
	free(s->shares);
	*s = (struct shown){.n = n,
			    .reached = r,
			    .schedules = mpz_get_str(NULL, 10, e->all),
			    .shares = calloc(e->t.xs, sizeof(*s->shares)),
			    .lowest_switches = switches_to(&e->t, e->cost, r.low)};
	if (!s->shares)
		err(EXIT_USAGE, "calloc");
	wrong_sum = record_counts(run, e, s->shares);
	s->exact_share = s->shares[exact_x(&e->t) - e->t.low];
	number_at(e, r.low, number);
	s->lowest = mpz_get_str(NULL, 10, number);
	mpz_init(number);
	multinomial(number, (unsigned long)n, (unsigned long)threads);
	s->unlost_share = mpz_get_d(number) / mpz_get_d(e->all);
	mpz_clear(number);
	run_record(run,
		   (struct field[]){{"program", .text = program->name},
				    {"threads", threads},
				    {"iterations", n},
				    {"checkpoints", .text = checkpoints},
				    {"schedules", .text = s->schedules},
				    {"exact_x", exact_x(&e->t)},
				    {"lowest_x", r.low},
				    {"highest_x", r.high},
				    {"results", r.results},
				    {"unreached", anywhere.high - anywhere.low + 1 - r.results},
				    {"wrong_sums", wrong_sum},
				    {"executed", executed},
				    {"wrong_executed", wrong_executed},
				    {"replays", replays},
				    {"wrong_replays", wrong_replays},
				    {"elapsed_ns", span_now() - begin_ns},
				    {0}});
}

static void measure(struct run *run, int n, struct shown *s)
{
	int64_t begin_ns = span_now();
	const struct policy *policy = policies;
	struct exact e;

	while (strcmp(policy->name, checkpoints) != 0)
		policy++;
	e.t = task_of(&programs[run_variant(run)], n, policy->code);
	mpz_init(e.all);
	multinomial(e.all, (unsigned long)(e.t.split ? 2 * n : n), (unsigned long)threads);
	e.limbs = (mp_size_t)mpz_size(e.all) + 1;
	e.counts = count(&e.t, e.limbs);
	e.cost = fewest(&e.t);
	if (!run_stopped())
		record(run, &e, s, begin_ns);
	mpz_clear(e.all);
	free(e.counts);
	free(e.cost);
}

/* Which results are left where the threads switch at the GIL's check points only. */
static void measure_policies(struct run *run)
{
	size_t p = run_variant(run);

	for (size_t i = 0; i < POLICIES && !run_stopped(); i++) {
		struct reached r = reachable(&programs[p], SMALL_N, policies[i].code);

		left[i][p] = r;
		run_row(run, "checkpoints",
			(struct field[]){{"checkpoints", .text = policies[i].name},
					 {"iterations", SMALL_N},
					 {"lowest_x", r.low},
					 {"highest_x", r.high},
					 {"results", r.results},
					 {0}});
	}
}

/* --- report -------------------------------------------------------------- */

/* An exact number, or its first digits where it is long. */
static const char *number_shown(const char *digits)
{
	size_t length = strlen(digits);

	if (length <= 15)
		return text_count(strtoll(digits, NULL, 10));
	return text_format("%c.%.4se%zu", digits[0], digits + 1, length - 1);
}

static const char *share_shown(double share)
{
	return share == 0 || share >= 0.001 ? text_format("%.4f", share)
					    : text_format("%.1e", share);
}

static const char *results_shown(struct reached r)
{
	if (r.results == 1)
		return text_format("only %d", r.low);
	return text_format(r.results == r.high - r.low + 1 ? "%d to %d" : "%d .. %d", r.low,
			   r.high);
}

static void print_sizes(struct run *run, size_t p)
{
	FILE *out = run_out(run);

	fprintf(out, "\n  %-3s %3s %19s %11s %8s %8s %20s\n", programs[p].name, "", "", "x at",
		"share", "nothing", "end at the least x:");
	fprintf(out, "  %-3s %3s %19s %11s %8s %8s %20s\n", "", "N", "schedules", "the end",
		"exact", "lost", "schedules, switches");
	for (const struct shown *s = shown[p]; s->n; s++)
		fprintf(out, "  %7d %19s %11s %8s %8s %17s %2d\n", s->n, number_shown(s->schedules),
			results_shown(s->reached), share_shown(s->exact_share),
			share_shown(s->unlost_share), number_shown(s->lowest), s->lowest_switches);
}

/* The distribution as a line of bars, several x to a bar where there are many. */
static void print_bars(struct run *run, size_t p, const struct shown *s)
{
	struct task t = task_of(&programs[p], s->n, "L|S|");
	size_t each = (t.xs + 49) / 50;
	double bar[64] = {0};
	double most = 0;

	for (size_t i = 0; i < t.xs; i++) {
		bar[i / each] += s->shares[i];
		most = bar[i / each] > most ? bar[i / each] : most;
	}
	fprintf(run_out(run), "  %-3s N = %3d  %4d |", programs[p].name, s->n, t.low);
	for (size_t i = 0; i * each < t.xs; i++)
		fputs(text_bar(bar[i] > 0 ? 1 + (int)(bar[i] / most * 7) : 0), run_out(run));
	fprintf(run_out(run), "| %d\n", t.high);
}

/* What one thread does between two switches: steps i to end; long ones without their middle. */
static void print_slice(FILE *out, const struct told *w, size_t i, size_t end, size_t done)
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
			fprintf(text, ", ... (%zu steps) ...", end - i - 2 * shown_first);
		}
		fprintf(text, "%s%s %d", k > i ? ", " : "", (done + k - i) % 2 ? "stores" : "loads",
			w->value[k]);
	}
	fclose(text);
	fprintf(out, "    %c  ", w->schedule[i]);
	text_wrap(out, 7, 7, line);
	free(line);
}

static void print_witness(struct run *run, size_t p)
{
	const struct told *w = &told[p];
	size_t done[MOST_THREADS] = {0};

	if (!w->schedule[0]) {
		run_say(run, "%s, N = %d: no schedule ends at %lld.", programs[p].name, witness_n(),
			(long long)reach);
		return;
	}
	run_say(run,
		"%s, N = %d: no schedule gets to %lld with fewer than %d switches; as run by "
		"real threads:",
		programs[p].name, witness_n(), (long long)reach, w->switches);
	for (size_t i = 0, end; w->schedule[i]; i = end) {
		size_t *thread_done = &done[w->schedule[i] - 'A'];

		for (end = i; w->schedule[end] == w->schedule[i]; end++)
			;
		print_slice(run_out(run), w, i, end, *thread_done);
		*thread_done += end - i;
	}
	if (replay_more)
		run_say(run, "%d of %d replays more ended at %lld too.", w->right, REPLAYS,
			(long long)reach);
}

static void print_policies(struct run *run)
{
	FILE *out = run_out(run);

	fprintf(out, "\n  What is left of it where a thread loses the CPU only at | (N = %d):\n",
		SMALL_N);
	fprintf(out, "  %-9s %-35s %-11s", "", "", "update");
	for (size_t p = 0; p < PROGRAMS; p++)
		if (run_selected(run, p))
			fprintf(out, " %8s", programs[p].name);
	fputc('\n', out);
	for (size_t i = 0; i < POLICIES; i++) {
		fprintf(out, "  %-9s %-35s %-11s", policies[i].name, policies[i].where,
			policies[i].code);
		for (size_t p = 0; p < PROGRAMS; p++)
			if (run_selected(run, p))
				fprintf(out, " %8s", results_shown(left[i][p]));
		fputc('\n', out);
	}
	run_say(run, "L, S load and store x; F C A J FOR_ITER LOAD_CONST INPLACE_ADD JUMP; f( a "
		     "call.");
}

static void judge_controls(struct run *run)
{
	double enumerated = 0, replays = 0;
	size_t sums = 0, brute = 0, wrong = 0;

	for (size_t p = 0; p < PROGRAMS; p++) {
		enumerated += stats_sum(run_values(run, p, "executed"));
		replays += stats_sum(run_values(run, p, "replays"));
		sums += stats_nonzero(run_values(run, p, "wrong_sums"));
		brute += stats_nonzero(run_values(run, p, "wrong_executed"));
		wrong += stats_nonzero(run_values(run, p, "wrong_replays"));
	}
	run_control(run, sums == 0, "%zu distributions do not add up to all schedules", sums);
	run_control(run, brute == 0, "%zu distributions differ from executing every schedule",
		    brute);
	run_control(run, wrong == 0, "%zu times a schedule, executed by threads, ended elsewhere",
		    wrong);
	if (enumerated > 0)
		run_say(run,
			"Executed one by one, %s schedules: as computed. %s were run by real "
			"threads.",
			text_count((int64_t)enumerated), text_count((int64_t)replays));
}

/* "+/- from -50 to 50, ++ from 2 to 100": of the greatest N. */
static const char *widest(struct run *run)
{
	const char *text = "";

	for (size_t p = 0; p < PROGRAMS; p++) {
		const struct shown *s = shown[p];

		while (s[1].n)
			s++;
		if (run_selected(run, p))
			text = text_format("%s%s%s %s", text, *text ? ", " : "", programs[p].name,
					   results_shown(s->reached));
	}
	return text;
}

static void judge(struct run *run)
{
	int64_t largest = 0;
	size_t all = 0, gaps = 0;

	for (size_t p = 0; p < PROGRAMS; p++) {
		struct values unreached_n = run_values(run, p, "unreached");

		all += unreached_n.n;
		gaps += stats_nonzero(unreached_n);
		for (size_t i = 0; i < SIZES; i++)
			if (shown[p][i].n > largest)
				largest = shown[p][i].n;
	}
	run_verdict(
		run, "race-interleavings", gaps ? REFUTED : HOLDS,
		(struct field[]){{"distributions", (int64_t)all},
				 {"with_gaps", (int64_t)gaps},
				 {"largest_n", largest},
				 {0}},
		"%zu of %zu exact distributions leave out a result; with N = %lld x ends at: %s",
		gaps, all, (long long)largest, widest(run));
}

static void report(struct run *run)
{
	FILE *out = run_out(run);

	run_say(run,
		"%lld threads, N updates each: load x, store it + 1 or - 1. Each schedule of "
		"these steps counts the same.",
		(long long)threads);
	for (size_t p = 0; p < PROGRAMS; p++)
		if (run_selected(run, p))
			print_sizes(run, p);
	fputs("\n  Share of schedules for each x at the end:\n", out);
	for (size_t p = 0; p < PROGRAMS; p++)
		for (size_t i = 0; i < SIZES && run_selected(run, p); i++)
			if (shown[p][i].n && !shown[p][i + 2].n)
				print_bars(run, p, &shown[p][i]);
	fputc('\n', out);
	for (size_t p = 0; p < PROGRAMS; p++)
		if (run_selected(run, p))
			print_witness(run, p);
	print_policies(run);
	fputc('\n', out);
	judge_controls(run);
	judge(run);
	run_why(run, "x at the end follows from a chain of updates, each of which loads what the "
		     "one before stored; all others are overwritten. A chain may be as short as "
		     "one or two updates, or hold all.");
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);
	int n[SIZES];
	size_t k;

	if (threads > 2 && iterations > MOST_N_OF_3)
		errx(EXIT_USAGE, "--iterations: with 3 threads at most %d", MOST_N_OF_3);
	k = sizes(n);
	while (run_next(run)) {
		for (size_t i = 0; i < k && !run_stopped(); i++)
			measure(run, n[i], &shown[run_variant(run)][i]);
		measure_policies(run);
	}
	return run_end(run, report);
}
