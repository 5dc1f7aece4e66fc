/* SPDX-License-Identifier: MIT */
#include "schedule.h"

#include <err.h>
#include <string.h>

#include "exp.h"

struct schedules schedules_of(int threads, int n, bool increments_only)
{
	struct schedules s = {.threads = threads, .n = n, .side = 2 * (size_t)n + 1, .places = 1};

	for (int i = threads - 1; i >= 0; i--) {
		s.step[i] = i % 2 && !increments_only ? -1 : 1;
		*(s.step[i] > 0 ? &s.high : &s.low) += s.step[i] * n;
		s.stride[i] = s.places;
		s.places *= s.side;
	}
	s.xs = (size_t)(s.high - s.low) + 1;
	return s;
}

int schedules_exact_x(const struct schedules *s)
{
	return s->high + s->low;
}

size_t schedule_moves(const struct schedules *s, size_t place,
		      struct schedule_move moves[SCHEDULE_MOVES])
{
	int at[SCHEDULE_THREADS] = {0};
	size_t n = 0;

	for (int i = 0; i < s->threads; i++)
		at[i] = (int)(place / s->stride[i] % s->side);
	for (int who = 0; who < s->threads; who++) {
		const int free = SCHEDULE_FREE, mine = 1 + who;
		size_t to = place + s->stride[who];

		if (at[who] == 2 * s->n)
			continue;
		for (int other = 0; other < s->threads; other++)
			if (other != who)
				moves[n++] =
					(struct schedule_move){who, 1 + other, 1 + other, 0, to};
		if (at[who] % 2 == 0) {
			moves[n++] = (struct schedule_move){who, free, free, 0, to};
			moves[n++] = (struct schedule_move){who, free, mine, 0, to};
		} else {
			moves[n++] = (struct schedule_move){who, mine, free, s->step[who], to};
		}
	}
	return n;
}

/* --- every schedule one by one -------------------------------------------- */

static void swap(char *a, char *b)
{
	char old = *a;

	*a = *b;
	*b = old;
}

/* The next schedule in alphabetical order; false after the last one. */
static bool next(char *schedule, size_t n)
{
	size_t i = n - 1;
	size_t k = n - 1;

	while (i > 0 && schedule[i - 1] >= schedule[i])
		i--;
	if (i == 0)
		return false;
	while (schedule[k] <= schedule[i - 1])
		k--;
	swap(&schedule[i - 1], &schedule[k]);
	for (k = n - 1; i < k; i++, k--)
		swap(&schedule[i], &schedule[k]);
	return true;
}

/* Executes one; returns x. */
static int execute(const struct schedules *s, const char *schedule, int *switches)
{
	int at[SCHEDULE_THREADS] = {0};
	int reg[SCHEDULE_THREADS] = {0};
	int x = 0;

	*switches = 0;
	for (size_t i = 0; schedule[i]; i++) {
		int who = schedule[i] - 'A';

		*switches += i > 0 && schedule[i] != schedule[i - 1];
		if (at[who]++ % 2 == 0)
			reg[who] = x;
		else
			x = reg[who] + s->step[who];
	}
	return x;
}

int64_t schedules_execute(const struct schedules *s, struct schedule_end ends[SCHEDULE_TRIED])
{
	size_t each = 2 * (size_t)s->n;
	char schedule[16 + 1] = "";
	int64_t executed = 0;

	if (s->n > (s->threads == 2 ? 4 : 2))
		return 0;
	for (int i = 0; i < s->threads; i++)
		memset(schedule + (size_t)i * each, 'A' + i, each);
	for (size_t i = 0; i < s->xs; i++)
		ends[i] = (struct schedule_end){.switches = -1};
	do {
		int switches;
		struct schedule_end *end = &ends[execute(s, schedule, &switches) - s->low];

		executed++;
		if (end->schedules++ == 0 || switches < end->switches)
			end->switches = switches;
	} while (next(schedule, each * (size_t)s->threads));
	return executed;
}

size_t schedule_sizes(int threads, int64_t asked, int64_t most, int n[SCHEDULE_SIZES])
{
	static const int usual[SCHEDULE_SIZES] = {1, 2, 3, 4, 5, 12, 50, SCHEDULE_N};
	size_t sizes = 0;

	if (threads > 2 && asked > SCHEDULE_N_OF_3)
		errx(EXIT_USAGE, "--iterations: with 3 threads at most %d", SCHEDULE_N_OF_3);
	if (asked > 0) {
		n[0] = (int)asked;
		return 1;
	}
	for (size_t i = 0; i < SCHEDULE_SIZES; i++)
		if (usual[i] <= most && (threads == 2 || usual[i] <= 5))
			n[sizes++] = usual[i];
	return sizes;
}
