/* SPDX-License-Identifier: MIT */
/*
 * udp_burst - how many datagrams of a burst survive while nobody reads?
 *
 * The receive buffer is charged with more than a datagram's bytes: with the memory that it takes.  So
 * one datagram of each size goes to a socket of its own first, which says what it is charged with
 * (SO_MEMINFO).  A buffer of n bytes should then keep n / charge of a burst, and at least one.
 *
 * That is compared with the survivors, for datagrams of 1 to 65,507 bytes and receive buffers of all
 * sizes.  What was sent is accounted for: read, unchanged and in order, or counted as dropped.
 */
#include <err.h>
#include <sys/socket.h>

#include "check.h"
#include "exp.h"
#include "old.h"
#include "net.h"
#include "pattern.h"
#include "span.h"
#include "text.h"

enum { BUFFERS = 7, SIZES = 8 };

static const struct variant variants[] = {{"minimum", "a receive buffer as small as can be had"},
					  {"4K", "SO_RCVBUF of 4 KiB"},
					  {"16K", "of 16 KiB"},
					  {"64K", "of 64 KiB"},
					  {"default", "not asked for"},
					  {"256K", "of 256 KiB"},
					  {"1M", "of 1 MiB"},
					  {0}};

/* What is asked for, in bytes; 0 = the default. */
static const int64_t buffers[BUFFERS] = {1, 4 << 10, 16 << 10, 64 << 10, 0, 256 << 10, 1 << 20};

static const int64_t sizes[SIZES] = {1, 100, 512, 1000, 1472, 4096, 16384, 65507};

static const struct claim claims[] = {
	{"buf-udp-survivors",
	 "what one datagram is charged with tells how many of a burst survive"},
	{0}};

static const struct experiment about = {
	.name = "udp_burst",
	.group = "buffers",
	.summary = "How many datagrams of a burst survive while nobody reads?",
	.claims = claims,
	.variants = variants,
	.trials = 2,
	.quick_trials = 1,
};

static uint8_t buffer[1 << 16];

/* Waits until all that was sent is either charged to the receiver or dropped there. */
static void await(int rx, int64_t sent, int64_t charge)
{
	int64_t deadline_ns = span_now() + 100000000;
	struct net_memory memory = net_memory(rx);

	while (memory.receive < (sent - memory.drops) * charge && span_now() < deadline_ns &&
	       run_sleep_until(span_now() + 100000))
		memory = net_memory(rx);
}

/* What a receive buffer is charged with for one datagram of this size. */
static int64_t charge_of(int64_t size)
{
	struct net_pair fd = net_pair(NET_UDP, (struct net_ask){0});
	int64_t charge;

	check_fd((int)send(fd.tx, buffer, (size_t)size, 0), "send");
	await(fd.rx, 1, 1);
	charge = net_memory(fd.rx).receive;
	net_close(&fd);
	if (charge <= 0 && !run_stopped())
		errx(EXIT_USAGE, "a datagram on loopback was not charged to its receiver");
	return charge > 0 ? charge : 1;
}

static void send_burst(const struct net_pair *fd, int64_t datagrams, int64_t size, int64_t charge)
{
	for (int64_t i = 0; i < datagrams; i++) {
		pattern_fill(buffer, (size_t)size, (uint64_t)(i * size));
		check_fd((int)send(fd->tx, buffer, (size_t)size, 0), "send");
		if (i % 256 == 255) /* so that nothing but the receive buffer can overflow */
			await(fd->rx, i + 1, charge);
	}
	await(fd->rx, datagrams, charge);
}

static void measure(struct run *run, int64_t asked, int64_t size)
{
	struct net_pair fd = net_pair(NET_UDP, (struct net_ask){256 << 10, asked, NULL});
	int64_t granted = net_rcvbuf(fd.rx);
	int64_t charge = charge_of(size);
	int64_t predicted = granted >= charge ? granted / charge : 1;
	int64_t sent = predicted + predicted / 8 + 4;
	int64_t survivors = 0, changed = 0, drops;
	ssize_t length;

	send_burst(&fd, sent, size, charge);
	drops = net_memory(fd.rx).drops;
	while ((length = net_recv_now(fd.rx, buffer, sizeof(buffer))) >= 0) {
		changed += length != size ||
			   pattern_misplaced(buffer, (size_t)length, (uint64_t)(survivors * size));
		survivors++;
	}
	net_close(&fd);
	run_record(run, (struct field[]){{"asked_bytes", asked},
					 {"granted_bytes", granted},
					 {"datagram_bytes", size},
					 {"charge_bytes", charge},
					 {"predicted_datagrams", predicted},
					 {"survivors_datagrams", survivors},
					 {"sent_datagrams", sent},
					 {"receiver_drops", drops},
					 {"unaccounted_datagrams", sent - survivors - drops},
					 {"changed_datagrams", changed},
					 {0}});
}

/* --- report -------------------------------------------------------------- */

/* A field of the bursts of one size into one buffer, a value a trial. */
static struct values of_cell(struct run *run, size_t b, size_t s, const char *field)
{
	return run_values_where(run, b, field, (struct field[]){{"datagram_bytes", sizes[s]}, {0}});
}

/* Whether all bursts of a cell came out as predicted. */
static bool exact(struct run *run, size_t b, size_t s)
{
	struct values survivors = of_cell(run, b, s, "survivors_datagrams");
	struct values predicted = of_cell(run, b, s, "predicted_datagrams");
	size_t i = 0;

	while (i < survivors.n && survivors.at[i] == predicted.at[i])
		i++;
	return i == survivors.n;
}

static void print_table(struct run *run)
{
	FILE *out = run_out(run);

	run_say(run, "Survivors of a burst that nobody reads, by datagram and by SO_RCVBUF asked "
		     "for; ! marks what one datagram did not predict.");
	fprintf(out, "\n  %8s", "asked");
	for (size_t b = 0; b < BUFFERS; b++)
		if (run_selected(run, b))
			fprintf(out, " %9s", variants[b].name);
	fprintf(out, "\n  %8s", "granted");
	for (size_t b = 0; b < BUFFERS; b++)
		if (run_selected(run, b))
			fprintf(out, " %9s",
				text_count((int64_t)run_median(run, b, "granted_bytes")));
	for (size_t s = 0; s < SIZES; s++) {
		fprintf(out, "\n  %6s B", text_count(sizes[s]));
		for (size_t b = 0; b < BUFFERS; b++) {
			struct values survivors = of_cell(run, b, s, "survivors_datagrams");

			if (survivors.n)
				fprintf(out, " %9s",
					text_format("%s%s", text_count(survivors.at[0]),
						    exact(run, b, s) ? "" : "!"));
		}
	}
	fputs("\n\n", out);
}

static void check_controls(struct run *run)
{
	size_t changed = 0, doubled = 0, lost = 0, bursts = 0;

	for (size_t b = 0; b < BUFFERS; b++) {
		struct values open = run_values(run, b, "unaccounted_datagrams");

		changed += stats_nonzero(run_values(run, b, "changed_datagrams"));
		bursts += open.n;
		for (size_t i = 0; i < open.n; i++) {
			doubled += open.at[i] < 0;
			lost += open.at[i] > 0;
		}
	}
	old_control(run, changed == 0, "%zu of %zu bursts arrived changed or not in order", changed,
		    bursts);
	old_control(run, doubled == 0, "more arrived than was sent in %zu of %zu bursts", doubled,
		    bursts);
	if (lost)
		old_note(run,
			 "in %zu of %zu bursts datagrams were lost that the receiver did not "
			 "count: the machine was too busy to take them from its own loopback.",
			 lost, bursts);
}

static void judge(struct run *run)
{
	size_t cells = 0, told = 0;

	for (size_t b = 0; b < BUFFERS; b++)
		for (size_t s = 0; s < SIZES && run_selected(run, b); s++) {
			cells++;
			told += exact(run, b, s);
		}
	old_verdict(
		run, "buf-udp-survivors",
		told == cells ? HOLDS
		: told        ? DEPENDS
			      : REFUTED,
		(struct field[]){{"exact_cells", (int64_t)told}, {"cells", (int64_t)cells}, {0}},
		"rcvbuf / charge datagrams survived, and one where that is less, in %zu of %zu "
		"cells",
		told, cells);
}

static void report(struct run *run)
{
	print_table(run);
	check_controls(run);
	judge(run);
	old_why(run, "a datagram is charged with the memory that it takes, in steps: one of 1 byte "
		     "with as "
		     "much as one of 100. When the next one does not fit it is dropped, without a "
		     "word to "
		     "the sender.");
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	while (run_next(run))
		for (size_t s = 0; s < SIZES && !run_stopped(); s++)
			measure(run, buffers[run_variant(run)], sizes[s]);
	return old_end(run, report);
}
