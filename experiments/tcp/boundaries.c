/* SPDX-License-Identifier: MIT */
/*
 * boundaries - does a recv return what a send sent?
 *
 * Over each kind of socket the same four programs, all with recv(1024):
 *
 *	2000, 4000  one message of so many bytes;
 *	queued      five messages of 300 bytes, all sent before the first recv;
 *	racing      the same while another thread receives: the sizes are a matter of luck.
 *
 * A stream is a sequence of bytes: recv returns what is there, up to its limit, and the rest stays.
 * A datagram is a unit: recv returns one, and what does not fit is thrown away, which only the flag
 * MSG_TRUNC tells.
 *
 * What a program over TCP does about it is shown by framing.c.
 */
#include <err.h>
#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/socket.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "language.h"
#include "net.h"
#include "pattern.h"
#include "rng.h"
#include "span.h"
#include "team.h"
#include "text.h"

enum { TCP, UNIX_STREAM, UDP, UNIX_DGRAM, SEQPACKET, KINDS };

static const struct variant variants[] = {[TCP] = {"tcp", "TCP on loopback"},
					  [UNIX_STREAM] = {"unix-stream", "an AF_UNIX stream"},
					  [UDP] = {"udp", "UDP on loopback"},
					  [UNIX_DGRAM] = {"unix-dgram", "AF_UNIX datagrams"},
					  [SEQPACKET] = {"seqpacket", "AF_UNIX SOCK_SEQPACKET"},
					  {0}};

static const enum net_kind net_kinds[] = {[TCP] = NET_TCP,
					  [UNIX_STREAM] = NET_UNIX_STREAM,
					  [UDP] = NET_UDP,
					  [UNIX_DGRAM] = NET_UNIX_DGRAM,
					  [SEQPACKET] = NET_UNIX_SEQPACKET};

static const struct claim claims[] = {
	{"tcp-stream-no-boundary", "TCP has no message boundaries, UDP keeps them", "tcp=udp",
	 NOT_SEEN,
	 .why = {[HOLDS] =
			 "TCP numbers bytes, not messages. send appends to one queue, recv takes what is there from another, and segments are cut as suits the network."}},
	{"tcp-recv-cut",
	 "of a 2000- or 4000-byte message recv(1024) hands over 1,024 bytes; the rest is not lost, the next recv returns it",
	 "tcp=udp", REFUTED},
	{0}};

static const struct row_field fields[] = {
	{"program",
	 "2000, 4000: one send; queued, racing: five sends of 300, received later or meanwhile",
	 "program", .text = true, .key = true},
	{"chunks", "what each recv returned", "recv returned, in the first trial", SHOW_FIRST,
	 .text = true},
	{"unlike_send", "recvs that returned another size than a send", "other|pieces",
	 SHOW_NONZERO},
	{"lost_bytes", "sent and not received", "lost"},
	{"rest_comes", "1: a message longer than a recv came in several, whole"},
	{"sent_bytes", "by all sends"},
	{"sends", "calls"},
	{"recvs", "calls"},
	{"largest_bytes", "that a recv returned"},
	{"truncated_recvs", "of which MSG_TRUNC said so"},
	{"silent_losses", "1: bytes were lost and MSG_TRUNC did not say so", .zero = true,
	 .sham = "hide"},
	{"received_bytes", "by all recvs"},
	{"misplaced_bytes", "received at another place than sent", .zero = true,
	 .sham = "disorder"},
	{"left", "1: something was left", .zero = true, .sham = "leave"},
	{"elapsed_ns", "of the program"},
	{"program", "as of the sample", .row = "recv", .text = true},
	{"call", "its number", .row = "recv"},
	{"returned_bytes", "by it", .row = "recv"},
	{"truncated", "1: MSG_TRUNC", .row = "recv"},
	{0}};

static const struct bound bounds[] = {
	{"enough_programs", 20, "as many as race with their receiver in one trial"}, {0}};

enum { RECV_MOST = 65536, SENDS = 5, EACH = 300, SENT_MOST = 4000, RACES = 20 };

static int64_t recv_size = 1024;

static const struct opt opts[] = {{'r', "recv", "the most that a recv may return",
				   .num = &recv_size, .min = 1, .max = RECV_MOST,
				   .unit = OPT_BYTES},
				  {0}};

enum { TWO_THOUSAND, FOUR_THOUSAND, QUEUED, RACING, PROGRAMS };

static const struct program {
	const char *name;
	int64_t sends, each; /* bytes */
	int64_t times;       /* a trial */
} programs[] = {[TWO_THOUSAND] = {"2000", 1, 2000, 1},
		[FOUR_THOUSAND] = {"4000", 1, SENT_MOST, 1},
		[QUEUED] = {"queued", SENDS, EACH, 1},
		[RACING] = {"racing", SENDS, EACH, RACES}};

/* --- one program ----------------------------------------------------------- */

struct transfer {
	size_t kind;
	const struct program *program;
	struct net_pair fd;
	struct rng rng;
	int64_t chunks[SENT_MOST]; /* what each recv returned, in bytes */
	bool cut[SENT_MOST];       /* and whether MSG_TRUNC was set */
	int64_t calls, received, misplaced;
	bool left; /* there was more than what was sent */
	int64_t elapsed_ns;
};

static bool is_stream(size_t kind)
{
	return kind == TCP || kind == UNIX_STREAM;
}

static bool is_racing(const struct transfer *t)
{
	return t->program == &programs[RACING];
}

static int64_t sent_bytes(const struct transfer *t)
{
	return t->program->sends * t->program->each;
}

/* Sends all; with random pauses of about as long as a recv takes if one goes on meanwhile. */
static void send_all(struct transfer *t)
{
	const size_t pause_ns = 20000;
	size_t each = (size_t)t->program->each;
	uint8_t message[SENT_MOST];

	for (int64_t i = 0; i < t->program->sends; i++) {
		int64_t next_ns = span_now();

		if (is_racing(t))
			next_ns += (int64_t)rng_below(&t->rng, pause_ns);
		pattern_fill(message, each, (uint64_t)i * each);
		while (span_now() < next_ns)
			;
		if (send(t->fd.tx, message, each, 0) != (ssize_t)each)
			err(EXIT_USAGE, "send");
	}
}

/* One recv; false when nothing came. */
static bool receive(struct transfer *t)
{
	uint8_t buffer[RECV_MOST];
	struct iovec into = {buffer, (size_t)recv_size};
	struct msghdr message = {.msg_iov = &into, .msg_iovlen = 1};
	int64_t at = is_stream(t->kind) ? t->received : t->calls * t->program->each;
	ssize_t n = recvmsg(t->fd.rx, &message, 0);

	if (n < 0 && errno != EAGAIN)
		err(EXIT_USAGE, "recvmsg");
	if (n <= 0)
		return false;
	t->misplaced += (int64_t)pattern_misplaced(buffer, (size_t)n, (uint64_t)at);
	t->cut[t->calls] = (message.msg_flags & MSG_TRUNC) != 0;
	t->chunks[t->calls++] = n;
	t->received += n;
	return true;
}

/* Receives what one side sent: all bytes of a stream, all datagrams; then looks for more. */
static void receive_all(struct transfer *t)
{
	char byte;

	while (is_stream(t->kind) ? t->received < sent_bytes(t) : t->calls < t->program->sends)
		if (!receive(t))
			break;
	t->left = recv(t->fd.rx, &byte, 1, MSG_DONTWAIT) >= 0;
}

static void send_or_receive(int member, void *argument)
{
	if (member == 0)
		send_all(argument);
	else
		receive_all(argument);
}

/* Until all has arrived, so that the first recv finds it; datagrams cannot be counted so. */
static void await_all(const struct transfer *t)
{
	for (int tries = 0; is_stream(t->kind) && tries < 1000; tries++)
		if (net_inq(t->fd.rx) == sent_bytes(t) || !run_sleep_until(span_now() + 1000000))
			break;
}

static void measure(struct transfer *t)
{
	struct team team;

	t->elapsed_ns = -span_now();
	t->fd = net_pair(net_kinds[t->kind], (struct net_ask){0});
	net_set_timeout(t->fd.rx, SO_RCVTIMEO, 2000); /* what is lost must not be awaited */
	if (is_racing(t)) {
		team_start(&team, 2, TEAM_SPREAD, send_or_receive, t);
		team_join(&team);
	} else {
		send_all(t);
		await_all(t);
		receive_all(t);
	}
	net_close(&t->fd);
	t->elapsed_ns += span_now();
}

/* --- rows ------------------------------------------------------------------ */

enum { TEXT = 128 };

/* "300, 1024, 176", or "1, 1, ..." */
static void list_chunks(const struct transfer *t, char *text, size_t size)
{
	size_t at = 0;

	text[0] = '\0';
	for (int64_t i = 0; i < t->calls; i++) {
		const char *chunk = text_format("%s%lld", i ? ", " : "", (long long)t->chunks[i]);
		size_t rest = i + 1 < t->calls ? strlen(", ...") : 0;

		if (at + strlen(chunk) + rest >= size) {
			snprintf(text + at, size - at, ", ...");
			return;
		}
		at += (size_t)snprintf(text + at, size - at, "%s", chunk);
	}
}

static void record(struct run *run, const struct transfer *t)
{
	const struct program *p = t->program;
	int64_t largest = 0, cuts = 0, foreign = 0, lost;
	char text[TEXT];

	for (int64_t i = 0; i < t->calls; i++) {
		largest = t->chunks[i] > largest ? t->chunks[i] : largest;
		cuts += t->cut[i];
		foreign += t->chunks[i] != p->each;
		run_row(run, "recv",
			(struct field[]){{"program", .text = p->name},
					 {"call", i},
					 {"returned_bytes", t->chunks[i]},
					 {"truncated", t->cut[i]},
					 {0}});
	}
	list_chunks(t, text, TEXT);
	lost = sent_bytes(t) - t->received;
	run_record(run,
		   (struct field[]){
			   {"program", .text = p->name},
			   {"sent_bytes", sent_bytes(t)},
			   {"sends", p->sends},
			   {"recvs", t->calls},
			   {"chunks", .text = text},
			   {"largest_bytes", largest},
			   {"unlike_send", foreign},
			   {"truncated_recvs", cuts},
			   {"received_bytes", t->received},
			   {"lost_bytes", lost},
			   {"silent_losses", lost != 0 && (cuts == 0 || run_sham(run, "hide"))},
			   {"misplaced_bytes", t->misplaced},
			   {"left", t->left || run_sham(run, "leave")},
			   {"elapsed_ns", t->elapsed_ns},
			   {p->sends == 1 && recv_size < p->each ? "rest_comes" : NULL,
			    lost == 0 && t->calls > 1},
			   {0}});
}

/* --- judge --------------------------------------------------------------- */

/* The 5 x send(300) that came out as other pieces. */
static struct share rearranged(struct run *run, size_t kind)
{
	const struct field queued[] = {{"program", .text = programs[QUEUED].name}, {0}};
	const struct field racing[] = {{"program", .text = programs[RACING].name}, {0}};

	return share_add(share_nonzero(run_values_where(run, kind, "unlike_send", queued)),
			 share_nonzero(run_values_where(run, kind, "unlike_send", racing)));
}

static void judge(struct run *run)
{
	int64_t enough = (int64_t)run_bound(run, "enough_programs");
	struct share tcp = rearranged(run, TCP);
	struct share udp = rearranged(run, UDP);
	struct share rest;
	bool cuts_all = recv_size < EACH;
	bool cuts_none = recv_size >= programs[TWO_THOUSAND].each;

	run_judge(
		run, "tcp-stream-no-boundary",
		cuts_all ? SKIPPED : all_of(never_happens(udp, enough), can_happen(tcp)),
		cuts_all
			? MESSAGE("such a recv cuts every message")
			: MESSAGE("5 x send(300) came out as other pieces in {tcp} programs over TCP, in {udp} over UDP"),
		number_share("tcp", tcp), number_share("udp", udp));
	rest = run_nonzero(run, TCP, "rest_comes");
	run_judge(
		run, "tcp-recv-cut", cuts_none ? SKIPPED : always_happens(rest, 2),
		cuts_none
			? MESSAGE("such a recv cuts none of the messages")
			: MESSAGE("over TCP {rest} messages came whole in several recvs; over UDP {lost_bytes} were lost, and MSG_TRUNC said so of {truncated} datagrams"),
		number_share("rest", rest),
		number_real("lost_bytes", run_sum(run, UDP, "lost_bytes")),
		number_share("truncated", run_nonzero(run, UDP, "truncated_recvs")));
}

static const struct experiment about = {
	.name = "boundaries",
	.group = "tcp",
	.order = 407,
	.summary = "Does a recv return what a send sent?",
	.intro = "What recv({recv_bytes}) returned, call after call.",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.variants = variants,
	.trials = 3,
	.quick_trials = 1,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);
	uint64_t races = 0; /* other pauses each time */

	pattern_disorder(run_sham(run, "disorder"));
	while (run_next(run))
		for (size_t p = 0; p < PROGRAMS; p++)
			for (int64_t i = 0; i < programs[p].times; i++) {
				struct transfer t = {.kind = run_variant(run),
						     .program = &programs[p],
						     .rng = {races++}};

				measure(&t);
				record(run, &t);
			}
	return run_end(run);
}
