/* SPDX-License-Identifier: MIT */
#include "gil_race.h"

#include "exp.h"
#include "team.h"

struct interpreter {
	const struct gil_race *race;
	struct gil gil;
	struct gil_data data;
	struct gil_thread threads[GIL_RACE_THREADS];
	atomic_bool stop;
};

static void work(int member, void *argument)
{
	struct interpreter *in = argument;
	struct gil_thread *thread = &in->threads[member];

	gil_take(thread);
	gil_run(thread, &gil_programs[in->race->program], in->race->n, member ? -1 : 1);
	gil_drop(thread);
}

static void keep_log(struct gil_race *race, const struct interpreter *in, const struct team *team)
{
	race->holds_n = in->gil.holds_n;
	for (int i = 0; race->policy == GIL_NONE && i < race->threads; i++)
		race->holds[race->holds_n++] = (struct gil_hold){i, team->members[i].span.begin_ns,
								 team->members[i].span.end_ns};
}

void gil_race(struct gil_race *race)
{
	struct interpreter in = {.race = race};
	struct team team;

	gil_init(&in.gil, race->policy, race->interval_us, !race->no_forced_switching);
	gil_data_init(&in.data);
	if (race->holds)
		gil_log(&in.gil, race->holds, race->room);
	for (int i = 0; i < race->threads; i++)
		in.threads[i] = (struct gil_thread){
			.gil = &in.gil, .data = &in.data, .number = i, .stop = &in.stop};
	team_start(&team, race->threads, TEAM_FREE, work, &in);
	if (race->duration_ns) {
		run_sleep_until(span_now() + race->duration_ns);
		atomic_store(&in.stop, true);
	}
	race->all = team_join(&team);
	race->x = atomic_load(&in.data.x);
	race->switches = gil_switches(&in.gil);
	for (int i = 0; i < race->threads; i++) {
		race->drops_inside += in.threads[i].drops_inside;
		for (size_t op = 0; op < GIL_OPS; op++)
			race->drops[op] += in.threads[i].drops[op];
	}
	if (race->holds)
		keep_log(race, &in, &team);
	gil_data_destroy(&in.data);
	gil_destroy(&in.gil);
}
