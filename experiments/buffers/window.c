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
#include "old.h"
#include "filling.h"
#include "net.h"
#include "pattern.h"
#include "text.h"

enum { EARLY, LATE, RAISED, VARIANTS };
enum { SIZES = 3, SMALL = 4 << 10, WRITE = 64 << 10, SNDBUF = 4 << 20 };

static const struct variant variants[] = {
	[EARLY] = {"early", "SO_RCVBUF before connect"},
	[LATE] = {"late", "SO_RCVBUF after accept"},
	[RAISED] = {"raised", "4 KiB before connect, more after accept"},
	{0}};

static const struct claim claims[] = {
	{"buf-rcvbuf-any-time", "SO_RCVBUF does the same before connect as after accept"}, {0}};

static const int64_t sizes[SIZES] = {SMALL, 64 << 10, 1 << 20};

static int64_t settle_ms = 100;
static const char *congestion;

static const struct opt opts[] = {
	{'s', "settle", "a window is full when nothing fitted for so long", .num = &settle_ms,
	 .min = 20, .max = 10000, .quick = 30, .unit = OPT_MS},
	{0, "congestion", "congestion control of the sender, such as cubic", .text = &congestion},
	{0}};

static const struct experiment about = {
	.name = "window",
	.group = "buffers",
	.summary = "Does it matter when SO_RCVBUF is set?",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.trials = 3,
	.quick_trials = 1,
};

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

		run_record(run, (struct field[]){{"asked_bytes", sizes[i]},
						 {"granted_rcvbuf_bytes", f->rcvbuf},
						 {"held_bytes", f->inq},
						 {"missing_bytes", missing},
						 {"misplaced_bytes", misplaced},
						 {0}});
		filling_end(f);
	}
}

/* --- report -------------------------------------------------------------- */

/* The median of a field where so many bytes were asked for; NAN for none. */
static double at_size(struct run *run, size_t variant, int64_t size, const char *field)
{
	return stats_quantile(
		run_values_where(run, variant, field, (struct field[]){{"asked_bytes", size}, {0}}),
		0.5);
}

static void print_table(struct run *run)
{
	FILE *out = run_out(run);

	run_say(run,
		"SO_RCVBUF before connect or after accept: granted, and what the receiver, who "
		"does not read, then held, in bytes:");
	fprintf(out, "\n  %-8s", "");
	for (size_t i = 0; i < SIZES; i++)
		fprintf(out, " %21s", text_format("%s asked for", text_bytes(sizes[i])));
	fputs("\n", out);
	for (size_t v = 0; v < VARIANTS; v++) {
		if (!run_selected(run, v))
			continue;
		fprintf(out, "  %-8s", variants[v].name);
		for (size_t i = 0; i < SIZES; i++)
			fprintf(out, " %10s %10s",
				text_count(
					(int64_t)at_size(run, v, sizes[i], "granted_rcvbuf_bytes")),
				text_count((int64_t)at_size(run, v, sizes[i], "held_bytes")));
		fputs("\n", out);
	}
	fputs("\n", out);
}

static void check_controls(struct run *run)
{
	for (size_t v = 0; v < VARIANTS; v++) {
		struct values missing = run_values(run, v, "missing_bytes");
		struct values misplaced = run_values(run, v, "misplaced_bytes");

		old_control(run, stats_nonzero(missing) + stats_nonzero(misplaced) == 0,
			    "%s: bytes were lost or changed in %zu of %zu connections",
			    variants[v].name, stats_nonzero(missing) + stats_nonzero(misplaced),
			    missing.n);
	}
}

static void judge(struct run *run)
{
	const double alike = 2; /* times: twice the other, or half of it, is another size */
	double worst = 1, early = NAN, late = NAN;
	int64_t asked = sizes[0];

	if (!run_selected(run, EARLY) || !run_selected(run, LATE))
		return;
	for (size_t i = 0; i < SIZES; i++) {
		double before = at_size(run, EARLY, sizes[i], "held_bytes");
		double after = at_size(run, LATE, sizes[i], "held_bytes");
		double times = fmax(after, before) / fmax(fmin(after, before), 1);

		if (times >= worst) {
			worst = times;
			asked = sizes[i];
			early = before;
			late = after;
		}
	}
	old_verdict(run, "buf-rcvbuf-any-time", worst < alike ? HOLDS : REFUTED,
		    (struct field[]){{"asked_bytes", asked},
				     {"early_held_bytes", (int64_t)early},
				     {"late_held_bytes", (int64_t)late},
				     {"times", .real = &worst},
				     {0}},
		    "with %s asked for TCP held %s bytes if that was before connect, %s if after "
		    "accept",
		    text_bytes(asked), text_count((int64_t)early), text_count((int64_t)late));
}

static void report(struct run *run)
{
	print_table(run);
	check_controls(run);
	judge(run);
	old_why(run,
		"a window that was offered is not taken back: a buffer that is made smaller after "
		"accept still gets what the larger one promised.");
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	while (run_next(run))
		measure(run, run_variant(run));
	return old_end(run, report);
}
