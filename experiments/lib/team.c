/* SPDX-License-Identifier: MIT */
#include "team.h"

#include "check.h"
#include "exp.h"

static void *take_part(void *argument)
{
	struct team_member *member = argument;
	struct team *team = member->team;
	int number = (int)(member - team->members);

	if (team->place != TEAM_FREE)
		run_pin(team->place == TEAM_SAME ? 0 : number);
	pthread_barrier_wait(&team->start);
	span_begin(&member->span);
	if (team->work)
		team->work(number, team->argument);
	else
		team->parts[number](team->argument);
	span_end(&member->span);
	return NULL;
}

void team_start(struct team *team, int threads, enum team_place place,
		void (*work)(int member, void *argument), void *argument)
{
	team->threads = threads;
	team->place = place;
	team->work = work;
	team->argument = argument;
	check(pthread_barrier_init(&team->start, NULL, (unsigned int)threads),
	      "pthread_barrier_init");
	for (int i = 0; i < threads; i++) {
		struct team_member *member = &team->members[i];

		member->team = team;
		check(pthread_create(&member->thread, NULL, take_part, member), "pthread_create");
	}
}

void team_start_two(struct team *team, enum team_place place, void (*first)(void *argument),
		    void (*second)(void *argument), void *argument)
{
	team->parts[0] = first;
	team->parts[1] = second;
	team_start(team, 2, place, NULL, argument);
}

int64_t team_stop_after(int64_t duration_ns, _Atomic bool *begun, _Atomic bool *stop)
{
	const int64_t look_every_ns = 20000;
	int64_t stop_ns;

	while (!atomic_load(begun) && run_sleep_until(span_now() + look_every_ns))
		;
	run_sleep_until(span_now() + duration_ns);
	stop_ns = span_now();
	atomic_store(stop, true);
	return stop_ns;
}

struct span team_join(struct team *team)
{
	struct span all = {0};

	for (int i = 0; i < team->threads; i++) {
		check(pthread_join(team->members[i].thread, NULL), "pthread_join");
		span_cover(&all, &team->members[i].span);
	}
	pthread_barrier_destroy(&team->start);
	return all;
}
