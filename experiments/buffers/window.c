/* SPDX-License-Identifier: MIT */
/*
 * window - does it matter when SO_RCVBUF is set?
 *
 * TCP tells its peer how large a window it has, and does not take back what it told.  So a receiver
 * that never reads is filled, whose buffer was set at different times:
 *
 *	early   before connect: the window begins with that size;
 *	late    after accept: what was offered by then holds;
 *	raised  4 KiB before connect, more after accept: the window has to follow.
 */
#include <math.h>
#include <sys/socket.h>

#include "exp.h"
#include "filling.h"
#include "judge.h"
#include "net.h"
#include "pattern.h"

enum { EARLY, LATE, RAISED };
enum { SIZES = 3, SMALL = 4 << 10, WRITE = 64 << 10, SNDBUF = 2 << 20 };

static const struct variant variants[] = {
	[EARLY] = {"early", "SO_RCVBUF before connect"},
	[LATE] = {"late", "SO_RCVBUF after accept"},
	[RAISED] = {"raised", "4 KiB before connect, more after accept"},
	{0}};

static const struct claim claims[] = {
	{"buf-rcvbuf-any-time", "SO_RCVBUF does the same before connect as after accept",
	 "late=early", HOLDS,
	 .why = {[REFUTED] =
			 "a window that was offered is not taken back: a buffer that is made smaller after accept still gets what the larger one promised.",
		 [HOLDS] =
			 "the window that was offered at the beginning was no larger than what was asked for later (net.ipv4.tcp_rmem)."}},
	{0}};

static const struct row_field fields[] = {
	{"asked_bytes", "SO_RCVBUF asked for", "asked for", .key = true},
	{"granted_rcvbuf_bytes", "SO_RCVBUF then", "granted"},
	{"held_bytes", "what the receiver, who does not read, then held", "held"},
	{"missing_bytes", "held and not read in the end", .zero = true, .sham = "lose"},
	{"misplaced_bytes", "read at another place than written", .zero = true, .sham = "disorder"},
	{0}};

static const struct bound bounds[] = {
	{"alike_times", 2, "twice the other, or half of it, is another size"}, {0}};

static const int64_t sizes[SIZES] = {SMALL, 64 << 10, 1 << 20};

static int64_t settle_ms = 100;
static const char *congestion;

static const struct opt opts[] = {
	{'s', "settle", "a window is full when nothing fitted for so long", .num = &settle_ms,
	 .min = 20, .max = 10000, .quick = 20, .unit = OPT_MS},
	{0, "congestion", "congestion control of the sender, such as cubic", .text = &congestion},
	{0}};

static struct net_pair pair_of(size_t variant, int64_t size)
{
	int64_t before = variant == EARLY ? size : variant == RAISED ? SMALL : 0;
	struct net_pair fd = net_pair(NET_TCP, (struct net_ask){SNDBUF, before, congestion});

	if (variant != EARLY)
		net_set(fd.rx, SOL_SOCKET, SO_RCVBUF, (int)size);
	return fd;
}

/* Reads what the receiver holds; how many bytes were not those that were written there. */
static int64_t read_held(const struct filling *f, int64_t *missing)
{
	static uint8_t buffer[WRITE];
	int64_t misplaced = 0;
	ssize_t n;

	*missing = f->inq;
	while (*missing > 0 && (n = net_recv_now(f->fd.rx, buffer, sizeof(buffer))) > 0) {
		misplaced += (int64_t)pattern_misplaced(buffer, (size_t)n,
							(uint64_t)(f->inq - *missing));
		*missing -= n;
	}
	if (*missing < 0) /* more came while there was room */
		*missing = 0;
	return misplaced;
}

static void measure(struct run *run, size_t variant)
{
	struct filling fillings[SIZES];

	for (size_t i = 0; i < SIZES; i++)
		filling_begin(&fillings[i], NET_TCP, pair_of(variant, sizes[i]), WRITE);
	filling_fill(fillings, SIZES, settle_ms);
	for (size_t i = 0; i < SIZES; i++) {
		struct filling *f = &fillings[i];
		int64_t missing;
		int64_t misplaced = read_held(f, &missing);

		missing += run_sham(run, "lose");

		run_record(run, (struct field[]){{"asked_bytes", sizes[i]},
						 {"granted_rcvbuf_bytes", f->rcvbuf},
						 {"held_bytes", f->inq},
						 {"missing_bytes", missing},
						 {"misplaced_bytes", misplaced},
						 {0}});
		filling_end(f);
	}
}

/* --- judge --------------------------------------------------------------- */

/* Held if it is set after accept, as a multiple of before connect, where that differs most. */
static struct interval worst_ratio(struct run *run, int64_t *asked)
{
	struct interval worst = {NAN, NAN, NAN, 0};

	for (size_t i = 0; i < SIZES; i++) {
		struct field where[] = {{"asked_bytes", sizes[i]}, {0}};
		struct interval times =
			run_ratio(run, run_values_where(run, LATE, "held_bytes", where),
				  run_values_where(run, EARLY, "held_bytes", where));

		if (!isfinite(worst.mid) || fabs(log(times.mid)) > fabs(log(worst.mid))) {
			worst = times;
			*asked = sizes[i];
		}
	}
	return worst;
}

static void judge(struct run *run)
{
	double alike = run_bound(run, "alike_times");
	int64_t asked = 0;
	struct interval times = worst_ratio(run, &asked);
	struct field where[] = {{"asked_bytes", asked}, {0}};

	run_judge(
		run, "buf-rcvbuf-any-time", is_within(times, 1 / alike, alike),
		"with {asked_bytes} asked for TCP held {early_bytes} if that was before connect, {times} times as much if after accept",
		number_int("asked_bytes", asked), number_interval("times", times),
		number_real(
			"early_bytes",
			stats_quantile(run_values_where(run, EARLY, "held_bytes", where), 0.5)));
}

static const struct experiment about = {
	.name = "window",
	.group = "buffers",
	.order = 309,
	.summary = "Does it matter when SO_RCVBUF is set?",
	.intro = "SO_RCVBUF before connect or after accept, in bytes.",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.variants = variants,
	.trials = 7,
	.quick_trials = 7,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	pattern_disorder(run_sham(run, "disorder"));
	while (run_next(run))
		measure(run, run_variant(run));
	return run_end(run);
}
