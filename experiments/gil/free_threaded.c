/* SPDX-License-Identifier: MIT */
/*
 * free_threaded - what a CPython without the GIL wins, and what it loses.
 *
 * The newest free-threaded CPython found runs counting.py twice: as it is, and with its GIL switched on
 * (-X gil=1), with all else the same.  One thread counts, then two, each an x of its own, then two one x that
 * they share, one of them upwards and one downwards.
 *
 * Without the GIL two threads have two CPUs; but on what they share they wait for each other, in locks and
 * cache lines.  And x += 1 is a load, an addition and a store again, with nothing around them.
 */
#include "exp.h"
#include "judge.h"
#include "language.h"
#include "lib/counting.h"
#include "span.h"
#include "text.h"

enum { FREE, GIL };
enum { ONE, OWN, SHARED, KINDS };

static const struct variant variants[] = {
	[FREE] = {"free", "a free-threaded CPython, as it is"},
	[GIL] = {"gil", "the same with its GIL switched on (-X gil=1)"},
	{0}};

static const struct claim claims[] = {
	{"gil-free-threaded", "without the GIL x += 1 loses updates again, and threads are faster",
	 "free=gil", REFUTED,
	 .why = {[DEPENDS] =
			 "two threads have two CPUs. What each has for itself they use side by side; an object that both update has a lock and a cache line, which one has at a time. The lock protects the object, not x += 1: load, addition and store are three steps.",
		 [HOLDS] =
			 "two threads have two CPUs. Each step of x += 1 is protected by the object's own lock, and not the three of them together."}},
	{0}};

static const struct row_field fields[] = {
	{"python", "version of CPython", "CPython", SHOW_TEXT, .text = true},
	{"one_ns", "of one thread", "1 thread", SHOW_MEDIAN, "one_updates"},
	{"one_updates", "by it, of its x"},
	{"own_ns", "of two threads", "2 threads:|an x each", SHOW_MEDIAN, "own_updates"},
	{"own_updates", "by both, of an x each"},
	{"shared_ns", "of two threads", "|one x", SHOW_MEDIAN, "shared_updates"},
	{"shared_updates", "by both, of one x"},
	{"shared_x", "that x in the end, minus what is right", "wrong x", SHOW_NONZERO},
	{"own_wrong", "1: an x that only one thread updates is wrong", .zero = true,
	 .sham = "forget"},
	{0}};

static const struct bound bounds[] = {
	{"faster_times", 1.2,
	 "of two threads side by side it would be twice, less what they disturb each other"},
	{0}};

static const char *list;
static int64_t duration_ms = 60;

static const struct opt opts[] = {
	{0, "python", "a free-threaded CPython (default: the newest that is found)", .text = &list,
	 .metavar = "PATH"},
	{'d', "duration", "of each of three programs", .num = &duration_ms, .min = 1, .max = 10000,
	 .quick = 30, .unit = OPT_MS},
	{0}};

static struct python python; /* its path is empty if there is none */

static void measure(struct run *run)
{
	static const char *const kinds[KINDS] = {"own:1", "own:2", "shared:2"};
	struct python one = python;
	const char *arguments[KINDS + 1] = {0};
	struct counted c[KINDS];

	for (size_t i = 0; i < KINDS; i++)
		arguments[i] = text_format("%s:%lld:1000", kinds[i], (long long)duration_ms);
	one.x_option = run_variant(run) == GIL ? "gil=1" : "gil=0";
	if (!counting_run(&one, arguments, c, KINDS))
		return;
	run_record(run, (struct field[]){{"python", .text = python.name},
					 {"one_ns", c[ONE].elapsed_ns},
					 {"one_updates", c[ONE].updates},
					 {"own_ns", c[OWN].elapsed_ns},
					 {"own_updates", c[OWN].updates},
					 {"shared_ns", c[SHARED].elapsed_ns},
					 {"shared_updates", c[SHARED].updates},
					 {"shared_x", c[SHARED].wrong},
					 {"own_wrong", c[ONE].wrong != 0 || c[OWN].wrong != 0 ||
							       run_sham(run, "forget")},
					 {0}});
}

/* --- judge --------------------------------------------------------------- */

/* The time of an update, in millionths of a ns. */
static struct values costs(struct run *run, size_t variant, const char *ns, const char *updates)
{
	return stats_millionths(run_values(run, variant, ns), run_values(run, variant, updates));
}

/* How many times as fast as one thread. */
static struct interval speedup(struct run *run, size_t variant, const char *ns, const char *updates)
{
	return run_ratio(run, costs(run, variant, "one_ns", "one_updates"),
			 costs(run, variant, ns, updates));
}

static void judge(struct run *run)
{
	double faster = run_bound(run, "faster_times");
	struct share wrong = run_nonzero(run, FREE, "shared_x");
	struct interval own = speedup(run, FREE, "own_ns", "own_updates"),
			shared = speedup(run, FREE, "shared_ns", "shared_updates");
	enum verdict verdict =
		all_of(can_happen(wrong), by_case(is_above(own, faster), is_above(shared, faster)));

	run_judge(
		run, "gil-free-threaded", run_cpus() < 2 ? SKIPPED : verdict,
		run_cpus() < 2
			? MESSAGE("it takes several CPUs, and there is one")
			: MESSAGE("CPython {python} without its GIL: x was wrong in {wrong} trials, two threads were {own} times as fast as one on an x each and {shared} times on one x; with its GIL x was wrong in {gil_wrong}, and they were {gil_own} and {gil_shared} times as fast; one thread alone took {alone} times as long without the GIL as with it"),
		number_text("python", python.name), number_share("wrong", wrong),
		number_interval("own", own), number_interval("shared", shared),
		number_share("gil_wrong", run_nonzero(run, GIL, "shared_x")),
		number_interval("gil_own", speedup(run, GIL, "own_ns", "own_updates")),
		number_interval("gil_shared", speedup(run, GIL, "shared_ns", "shared_updates")),
		number_interval("alone", run_ratio(run, costs(run, FREE, "one_ns", "one_updates"),
						   costs(run, GIL, "one_ns", "one_updates"))));
}

static void choose(void)
{
	struct python found[PYTHONS];
	size_t n = python_find(list, found);

	for (size_t i = 0; i < n; i++)
		if (!found[i].gil)
			python = found[i];
}

static const struct experiment about = {
	.name = "free_threaded",
	.group = "gil",
	.order = 208,
	.summary = "CPython without its GIL: are threads faster, and what is x then?",
	.intro = "One thread or two count for {duration_ms}; the time of an update.",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.variants = variants,
	.choose = choose,
	.trials = 9,
	.quick_trials = 7,
	.timed = true,
	.limit_s = 180,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);
	const char *lacking = python_lacking(*python.path != 0, "free-threaded CPython", COUNTING);

	if (lacking)
		return run_skip(run, "%s", lacking);
	while (run_next(run))
		measure(run);
	return run_end(run);
}
