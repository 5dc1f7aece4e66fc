/* SPDX-License-Identifier: MIT */
/*
 * dgram_qlen - is a datagram socket of AF_UNIX bounded by the bytes of its send buffer?
 *
 * A sender that never waits sends messages of one size to a bound socket that nobody reads, until the
 * kernel says EAGAIN.  Then the sender's buffer is full, or it is not: SO_MEMINFO says what it is
 * charged with, book-keeping included.
 *
 *	small   messages of 1 byte: the receiver's queue takes net.unix.max_dgram_qlen of them, and one
 *	        more, however few bytes they are;
 *	large   so large that the buffer is full before the queue is;
 *	pair    1 byte again, between two sockets that are connected to each other: the kernel does not
 *	        count the messages of such a pair, so the bytes are its only limit.
 *
 * Where the sysctl is large the sender asks for a buffer that the messages of 1 byte leave half empty.
 */
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "machine.h"
#include "net.h"
#include "pattern.h"

enum { SMALL, LARGE, PAIR };
enum { MOST = 64 << 10, PARTS = 4 };

static const struct variant variants[] = {
	[SMALL] = {"small", "messages of 1 byte to a bound socket"},
	[LARGE] = {"large", "messages of a quarter of the buffer, 64 KiB at most"},
	[PAIR] = {"pair", "1 byte, the two are connected to each other (control)"},
	{0}};

static const struct claim claims[] = {
	{"buf-dgram-qlen", "a datagram socket of AF_UNIX is bounded by its bytes", "small=large",
	 HOLDS,
	 .why = {[DEPENDS] =
			 "the receiver's queue is limited in messages (net.unix.max_dgram_qlen, and one more), the sender's buffer in bytes: whichever is reached first refuses the next message.",
		 [REFUTED] =
			 "the receiver's queue is limited in messages (net.unix.max_dgram_qlen, and one more), here to fewer than fill the sender's buffer, however large they are."}},
	{0}};

static const struct row_field fields[] = {
	{"message_bytes", "size of one message", "size of a|message"},
	{"messages", "taken before the one that was refused", "messages|taken"},
	{"max_dgram_qlen", "net.unix.max_dgram_qlen"},
	{"charged_bytes", "to the sender then (SO_MEMINFO), book-keeping included",
	 "charged to|the sender"},
	{"charged_bytes", .column = "of|SO_SNDBUF", .per = "granted_sndbuf_bytes"},
	{"full", "1: the sender was charged with SO_SNDBUF or more", "its buffer|is full",
	 SHOW_NONZERO},
	{"granted_sndbuf_bytes", "SO_SNDBUF of the sender"},
	{"refused_errno", "error number of the message that was refused"},
	{"pair_not_full", "1: the control was refused a message, and its buffer was not full",
	 .zero = true, .sham = "pair=small"},
	{"missing_messages", "taken, and not received in the end", .zero = true, .sham = "lose"},
	{"misplaced_bytes", "received where another belongs", .zero = true, .sham = "disorder"},
	{0}};

static const struct bound bounds[] = {
	{"enough_trials", 3, "limits of the kernel are reached alike each time"}, {0}};

static int64_t qlen;
static int64_t asked; /* SO_SNDBUF in bytes; 0: the default is large enough */

/* What a sender is charged with for one message of 1 byte. */
static int64_t charge_of_one(void)
{
	struct net_pair pair = net_unix_bound((struct net_ask){0});
	int64_t charge;

	if (net_send_now(pair.tx, "", 1) != 1)
		errx(EXIT_USAGE, "no message fits");
	charge = net_memory(pair.tx).send;
	net_close(&pair);
	return charge;
}

/* Twice of what a full queue of messages of 1 byte is charged with, if the default is less. */
static int64_t sndbuf_to_ask(void)
{
	struct net_pair pair = net_unix_bound((struct net_ask){0});
	int64_t enough = 2 * (qlen + 1) * charge_of_one();
	int64_t granted = net_sndbuf(pair.tx);

	net_close(&pair);
	if (granted >= enough)
		return 0;
	enough /= 2; /* as twice what is asked for is granted */
	return enough < INT32_MAX ? enough : INT32_MAX;
}

/* --- one trial ----------------------------------------------------------- */

/* How large a message is; a few of the large ones fill the buffer. */
static int64_t length_of(size_t variant, int64_t sndbuf)
{
	if (variant != LARGE)
		return 1;
	return sndbuf / PARTS < MOST ? sndbuf / PARTS : MOST;
}

/* Sends messages until one is refused; returns how many were taken. */
static int64_t fill(int tx, uint8_t *message, int64_t length)
{
	for (int64_t taken = 0;; taken++) {
		pattern_fill(message, (size_t)length, (uint64_t)(taken * length));
		if (run_stopped() || net_send_now(tx, message, (size_t)length) < 0)
			return taken;
	}
}

/* Receives all there are, and returns how many; *misplaced: bytes where others belong. */
static int64_t drain(int rx, uint8_t *message, int64_t length, int64_t *misplaced)
{
	int64_t received = 0;

	while (net_recv_now(rx, message, (size_t)length) == length) {
		*misplaced += (int64_t)pattern_misplaced(message, (size_t)length,
							 (uint64_t)(received * length));
		received++;
	}
	return received;
}

static void measure(struct run *run, size_t variant, size_t label)
{
	struct net_ask ask = {.sndbuf = asked};
	struct net_pair pair =
		variant == PAIR ? net_pair(NET_UNIX_DGRAM, ask) : net_unix_bound(ask);
	int64_t granted = net_sndbuf(pair.tx);
	int64_t length = length_of(variant, granted);
	uint8_t *message = check_alloc(malloc(MOST));
	int64_t taken = fill(pair.tx, message, length);
	int refused = errno;
	int64_t charged = net_memory(pair.tx).send;
	bool full = charged >= granted;
	int64_t misplaced = 0;

	if (run_sham(run, "lose"))
		net_recv_now(pair.rx, message, (size_t)length);
	run_record(run, (struct field[]){{"message_bytes", length},
					 {"messages", taken},
					 {"max_dgram_qlen", qlen},
					 {"granted_sndbuf_bytes", granted},
					 {"charged_bytes", charged},
					 {"full", full},
					 {"refused_errno", refused},
					 {"pair_not_full", label == PAIR && !full},
					 {"missing_messages",
					  taken - drain(pair.rx, message, length, &misplaced)},
					 {"misplaced_bytes", misplaced},
					 {0}});
	free(message);
	net_close(&pair);
}

/* --- judge --------------------------------------------------------------- */

static void judge(struct run *run)
{
	int64_t enough = (int64_t)run_bound(run, "enough_trials");
	struct share small = run_nonzero(run, SMALL, "full");
	struct share large = run_nonzero(run, LARGE, "full");

	run_judge(
		run, "buf-dgram-qlen",
		by_case(always_happens(large, enough), always_happens(small, enough)),
		"with messages of {small_bytes} the sender's buffer was full in {small} trials: {small_messages} were taken, charged with {charged_bytes} of {granted_bytes} (max_dgram_qlen is {qlen}); with messages of {large_bytes} in {large}, by {large_messages}. Two sockets that are connected to each other took {pair_messages} of 1 byte",
		number_real("small_bytes", run_median(run, SMALL, "message_bytes")),
		number_share("small", small),
		number_real("small_messages", run_median(run, SMALL, "messages")),
		number_real("charged_bytes", run_median(run, SMALL, "charged_bytes")),
		number_real("granted_bytes", run_median(run, SMALL, "granted_sndbuf_bytes")),
		number_int("qlen", qlen),
		number_real("large_bytes", run_median(run, LARGE, "message_bytes")),
		number_share("large", large),
		number_real("large_messages", run_median(run, LARGE, "messages")),
		number_real("pair_messages", run_median(run, PAIR, "messages")));
}

static const struct experiment about = {
	.name = "dgram_qlen",
	.group = "buffers",
	.order = 315,
	.summary = "Is a datagram socket of AF_UNIX bounded by its bytes?",
	.intro = "Messages are sent until the kernel says EAGAIN; nobody reads.",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.variants = variants,
	.trials = 7,
	.quick_trials = 3,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	qlen = machine_sysctl("net/unix/max_dgram_qlen");
	if (qlen < 0)
		return run_skip(run, "net.unix.max_dgram_qlen cannot be read here");
	asked = sndbuf_to_ask();
	pattern_disorder(run_sham(run, "disorder"));
	while (run_next(run))
		measure(run, run_variant(run), run_label(run));
	return run_end(run);
}
