/* SPDX-License-Identifier: MIT */
/*
 * switch - what does it cost to go on somewhere else: in a coroutine, a thread, a process?
 *
 * Two sides hand a turn to and fro; nothing else is done, so the time of a turn is the cost of a
 * switch.
 *
 *	own        two stacks in one thread; a switch saves and loads the registers that a called
 *	           function must keep, by a few instructions of our own.
 *	ucontext   the same by the C library, which also saves the signal mask: a system call.
 *	futex      two threads, or two processes, that sleep on a shared word and wake each other.
 *	pipe       the same by one byte through a pipe: a way to wait that costs more.
 *
 * So that threads and processes differ in nothing else, both use both ways, with the same calls.
 * The two sides share one CPU, or have one each: then nothing is switched out, one CPU wakes the
 * other instead.
 *
 * Both sides count their turns.  On one CPU no turn can be passed without a context switch, so the
 * kernel's count of them is the control.
 */
#include <err.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "check.h"
#include "child.h"
#include "exp.h"
#include "judge.h"
#include "language.h"
#include "span.h"
#include "stack.h"
#include "text.h"

enum {
	OWN,
	UCONTEXT,
	FUTEX_THREADS,
	FUTEX_PROCESSES,
	PIPE_THREADS,
	PIPE_PROCESSES,
	TWO_CPUS, /* the same four again */
	VARIANTS = TWO_CPUS + 4,
	WARM_UP = 50,
	STACK_BYTES = 64 << 10,
};

static const struct variant variants[] = {
	[OWN] = {"coroutine-own", "registers swapped by a few instructions"},
	[UCONTEXT] = {"coroutine-ucontext", "swapcontext(3)"},
	[FUTEX_THREADS] = {"thread-futex", "two threads on one CPU"},
	[FUTEX_PROCESSES] = {"process-futex", "two processes on one CPU"},
	[PIPE_THREADS] = {"thread-pipe", "two threads on one CPU"},
	[PIPE_PROCESSES] = {"process-pipe", "two processes on one CPU"},
	[TWO_CPUS] = {"thread-futex-2cpus", "two threads, a CPU each"},
	{"process-futex-2cpus", "two processes, a CPU each"},
	{"thread-pipe-2cpus", "two threads, a CPU each"},
	{"process-pipe-2cpus", "two processes, a CPU each"},
	{0}};

static const struct claim claims[] = {
	{"srv-coroutine-switch",
	 "a coroutine switch costs less than a thread switch, and that less than a process switch",
	 "process-futex=process-futex-2cpus,process-pipe=process-pipe-2cpus", HOLDS,
	 .why = {[HOLDS] =
			 "a coroutine saves a few registers and jumps. Threads go through the kernel, which saves all registers, puts one to sleep and chooses the next; between processes it changes the page tables as well. On two CPUs nothing is switched: the time is that of waking the other CPU."}},
	{0}};

static const struct row_field fields[] = {
	{"cpus", "that the two sides share, or have"},
	{"switches", "turns of both sides"},
	{"elapsed_ns", "from the first begin to the last end", "a switch", SHOW_INTERVAL,
	 "switches"},
	{"cpu_ns", "CPU time of both sides", "CPU time", SHOW_MEDIAN, "switches"},
	{"voluntary_switches",
	 "context switches because a side waited, of both (the kernel's count)", "voluntary|a turn",
	 SHOW_SUM, "turns"},
	{"involuntary_switches", "the others", "forced|a turn", SHOW_SUM, "turns"},
	{"turns", "switches"},
	{"missing_turns", "that a side did not have", .zero = true, .sham = "skip"},
	{"uncounted_switches", "turns on one CPU for which the kernel counted no context switch",
	 .zero = true, .sham = "count-half"},
	{0}};

static const struct bound bounds[] = {
	{"clear_times", 1.05,
	 "a difference of less than a twentieth is none: the noise between rounds"},
	{0}};

static int64_t rounds = 2000;

static const struct opt opts[] = {
	{'n', "rounds", "turns of each side (coroutines: 10 times, two CPUs: a 20th of it)",
	 .num = &rounds, .min = 200, .max = 50000, .quick = 700},
	{0}};

/* --- two coroutines in one thread ---------------------------------------- */

static struct {
	void *main_sp, *other_sp;           /* of `own` */
	ucontext_t main_place, other_place; /* of `ucontext` */
	int64_t turns;                      /* of the other side */
} coroutine;

static void own_turns(void)
{
	for (;;) {
		coroutine.turns++;
		stack_switch(&coroutine.other_sp, coroutine.main_sp);
	}
}

static void ucontext_turns(void)
{
	for (;;) {
		coroutine.turns++;
		swapcontext(&coroutine.other_place, &coroutine.main_place);
	}
}

static void to_other(size_t variant)
{
	if (variant == OWN)
		stack_switch(&coroutine.main_sp, coroutine.other_sp);
	else
		swapcontext(&coroutine.main_place, &coroutine.other_place);
}

/* Makes the other coroutine's stack look as if it had been left just before its first line. */
static void prepare(size_t variant, void *stack)
{
	memset(stack, 0, STACK_BYTES);
	coroutine.turns = 0;
	if (variant == OWN) {
		coroutine.other_sp = stack_begin(stack, STACK_BYTES, own_turns);
		return;
	}
	check_fd(getcontext(&coroutine.other_place), "getcontext");
	coroutine.other_place.uc_stack.ss_sp = stack;
	coroutine.other_place.uc_stack.ss_size = STACK_BYTES;
	makecontext(&coroutine.other_place, ucontext_turns, 0);
}

/* --- two threads or processes -------------------------------------------- */

/* One of the two sides.  All of it lies in memory that forked processes share. */
struct side {
	_Atomic uint32_t *turn; /* whose turn it is: 0 or 1 */
	uint32_t me;
	int cpu;
	int in, out; /* of pipes; -1 = by futex */
	int64_t rounds;
	struct span span;
	int64_t turns, voluntary, involuntary; /* context switches, as the kernel counts them */
};

static struct side *sides; /* two, and the word of the futex behind them */

/* Not by exit(3), which in a forked process would clean up what is the first one's. */
static _Noreturn void fail(const char *call)
{
	warn("%s", call);
	_exit(EXIT_USAGE);
}

static void await_turn(const struct side *s)
{
	char byte;

	if (s->in >= 0) {
		if (read(s->in, &byte, 1) != 1)
			fail("read");
		return;
	}
	while (atomic_load(s->turn) != s->me)
		syscall(SYS_futex, s->turn, FUTEX_WAIT, !s->me, NULL, NULL, 0);
}

static void pass_turn(const struct side *s)
{
	if (s->out >= 0) {
		if (write(s->out, "", 1) != 1)
			fail("write");
		return;
	}
	atomic_store(s->turn, !s->me);
	syscall(SYS_futex, s->turn, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void context_switches(int64_t *voluntary, int64_t *involuntary)
{
	struct rusage usage;

	check_fd(getrusage(RUSAGE_THREAD, &usage), "getrusage");
	*voluntary = usage.ru_nvcsw - *voluntary;
	*involuntary = usage.ru_nivcsw - *involuntary;
}

/* Side 0 begins. */
static void *play(void *argument)
{
	struct side *s = argument;

	run_pin(s->cpu);
	for (int64_t i = -WARM_UP; i < s->rounds; i++) {
		if (i == 0) {
			context_switches(&s->voluntary, &s->involuntary);
			span_begin(&s->span);
		}
		await_turn(s);
		s->turns += i >= 0;
		pass_turn(s);
	}
	span_end(&s->span);
	context_switches(&s->voluntary, &s->involuntary);
	return NULL;
}

static pid_t start_process(struct side *s)
{
	pid_t child = child_fork();

	if (child > 0)
		return child;
	play(s);
	_exit(0);
}

static void run_sides(bool processes)
{
	pthread_t threads[2];
	pid_t children[2];
	int status;

	for (int i = 0; i < 2; i++)
		if (processes)
			children[i] = start_process(&sides[i]);
		else
			check(pthread_create(&threads[i], NULL, play, &sides[i]), "pthread_create");
	for (int i = 0; i < 2; i++)
		if (!processes)
			check(pthread_join(threads[i], NULL), "pthread_join");
		else if (check_fd(waitpid(children[i], &status, 0), "waitpid") && status != 0 &&
			 child_died_alone())
			errx(EXIT_USAGE, "a forked process died");
}

/* --- one trial ----------------------------------------------------------- */

static void measure_coroutines(struct run *run, void *stack)
{
	struct span span = {0};
	int64_t turns = 10 * rounds;

	run_pin(0);
	prepare(run_variant(run), stack);
	for (int i = 0; i < WARM_UP; i++)
		to_other(run_variant(run));
	span_begin(&span);
	for (int64_t i = 0; i < turns; i++)
		to_other(run_variant(run));
	span_end(&span);
	run_pin(-1);
	run_record(run, (struct field[]){{"cpus", 1},
					 {"switches", 2 * turns},
					 {"turns", 2 * turns},
					 {"missing_turns", turns - (coroutine.turns - WARM_UP) +
								   run_sham(run, "skip")},
					 {"elapsed_ns", span_wall(&span)},
					 {"cpu_ns", span.cpu_ns},
					 {0}});
}

static void measure_sides(struct run *run, int cpus, bool pipes, bool processes)
{
	_Atomic uint32_t *turn = (_Atomic uint32_t *)(void *)&sides[2];
	int64_t turns = cpus == 2 ? rounds / 20 : rounds; /* to wake another CPU takes long */
	struct span all = {0};
	int fds[2][2] = {{-1, -1}, {-1, -1}};
	int64_t voluntary, involuntary, counted;

	atomic_store(turn, 0);
	for (int i = 0; pipes && i < 2; i++)
		check_fd(pipe(fds[i]), "pipe");
	for (int i = 0; i < 2; i++)
		sides[i] = (struct side){.turn = turn,
					 .me = (uint32_t)i,
					 .cpu = cpus == 2 ? i : 0,
					 .in = fds[i][0],
					 .out = fds[!i][1],
					 .rounds = turns};
	if (pipes)
		pass_turn(&sides[1]);
	run_sides(processes);
	for (int i = 0; i < 2; i++)
		span_cover(&all, &sides[i].span);
	voluntary = sides[0].voluntary + sides[1].voluntary;
	involuntary = sides[0].involuntary + sides[1].involuntary;
	counted = (voluntary + involuntary) / (run_sham(run, "count-half") ? 2 : 1);
	for (int i = 0; pipes && i < 4; i++)
		close(fds[i / 2][i % 2]);
	run_record(
		run,
		(struct field[]){
			{"cpus", cpus},
			{"switches", 2 * turns},
			{"turns", 2 * turns},
			{"missing_turns",
			 2 * turns - sides[0].turns - sides[1].turns + run_sham(run, "skip")},
			{"elapsed_ns", span_wall(&all)},
			{"cpu_ns", all.cpu_ns},
			{"voluntary_switches", voluntary},
			{"involuntary_switches", involuntary},
			/* the last turn is passed to nobody, and the first may be taken at once */
			{cpus == 1 ? "uncounted_switches" : NULL,
			 2 * turns - 2 > counted ? 2 * turns - 2 - counted : 0},
			{0}});
}

/* Why a variant is left out here, or NULL. */
static const char *left_out(size_t variant)
{
	if (variant <= UCONTEXT && stack_missing(variant == OWN))
		return stack_missing(variant == OWN);
	if (variant >= TWO_CPUS && run_cpus() < 2)
		return MESSAGE("one CPU only");
	return NULL;
}

/* --- judge --------------------------------------------------------------- */

/* ns a switch, in millionths, of each trial. */
static struct values cost(struct run *run, size_t variant)
{
	return stats_millionths(run_values(run, variant, "elapsed_ns"),
				run_values(run, variant, "switches"));
}

static double cost_ns(struct run *run, size_t variant)
{
	return stats_quantile(cost(run, variant), 0.5) / 1e6;
}

static void judge(struct run *run)
{
	double clear = run_bound(run, "clear_times");
	size_t fast = run_selected(run, OWN) ? OWN : UCONTEXT;
	struct interval to_thread[2];
	struct interval to_process[2];

	for (size_t way = 0; way < 2; way++) {
		size_t thread = FUTEX_THREADS + 2 * way;

		to_thread[way] = run_ratio(run, cost(run, thread), cost(run, fast));
		to_process[way] = run_ratio(run, cost(run, thread + 1), cost(run, thread));
	}
	run_judge(
		run, "srv-coroutine-switch",
		all_of(is_above(to_thread[0], clear), is_above(to_thread[1], clear),
		       is_above(to_process[0], clear), is_above(to_process[1], clear)),
		"on one CPU: coroutine {coroutine_ns}; thread {thread_futex_ns} by futex, {thread_pipe_ns} by pipe; a process takes {futex} and {pipe} times as long as a thread",
		number_real("coroutine_ns", cost_ns(run, fast)),
		number_real("thread_futex_ns", cost_ns(run, FUTEX_THREADS)),
		number_real("thread_pipe_ns", cost_ns(run, PIPE_THREADS)),
		number_interval("futex", to_process[0]), number_interval("pipe", to_process[1]));
}

static const struct experiment about = {
	.name = "switch",
	.group = "race",
	.order = 108,
	.summary = "What does a switch cost between coroutines, threads and processes?",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.variants = variants,
	.trials = 40,
	.quick_trials = 9,
	.timed = true,
	.judge = judge,
	.scatter = "elapsed_ns",
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);
	void *stack =
		mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	sides = child_share(3 * sizeof(*sides));
	if (stack == MAP_FAILED)
		err(EXIT_USAGE, "mmap");
	for (size_t v = 0; v < VARIANTS; v++)
		if (left_out(v))
			run_leave_out(run, v, "%s", left_out(v));
	while (run_next(run)) {
		size_t v = run_variant(run);
		size_t way = v >= TWO_CPUS ? v - TWO_CPUS : v - FUTEX_THREADS;

		if (v <= UCONTEXT)
			measure_coroutines(run, stack);
		else
			measure_sides(run, v >= TWO_CPUS ? 2 : 1, way / 2, way % 2);
	}
	return run_end(run);
}
