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
#include "old.h"
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
	{"tcp-recv-cut",
	 "recv(1024) hands over at most 1024 bytes of a 2000- or 4000-byte message"},
	{"tcp-stream-no-boundary", "TCP has no message boundaries, UDP keeps them"},
	{0}};

enum { RECV_MOST = 65536, SENDS = 5, EACH = 300, SENT_MOST = 4000, RACES = 20 };

static int64_t recv_size = 1024;

static const struct opt opts[] = {{'r', "recv", "the most that a recv may return",
				   .num = &recv_size, .min = 1, .max = RECV_MOST,
				   .unit = OPT_BYTES},
				  {0}};

static const struct experiment about = {
	.name = "boundaries",
	.group = "tcp",
	.summary = "Does a recv return what a send sent?",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.trials = 3,
	.quick_trials = 1,
};

enum { TWO_THOUSAND, FOUR_THOUSAND, QUEUED, RACING, PROGRAMS };

static const struct program {
	const char *name;
	int64_t sends, each; /* bytes */
	int64_t times;       /* a trial */
	int width;           /* of its column */
} programs[] = {[TWO_THOUSAND] = {"2000", 1, 2000, 1, 17},
		[FOUR_THOUSAND] = {"4000", 1, SENT_MOST, 1, 23},
		[QUEUED] = {"queued", SENDS, EACH, 1, 23},
		[RACING] = {"racing", SENDS, EACH, RACES, 45}};

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

static char first_seen[KINDS][PROGRAMS][TEXT]; /* what its recvs returned at first */

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
	char *seen = first_seen[t->kind][p - programs];
	int64_t largest = 0, cuts = 0, foreign = 0;
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
	if (seen[0] == '\0')
		list_chunks(t, seen, (size_t)p->width + 1);
	run_record(run, (struct field[]){{"program", .text = p->name},
					 {"sent_bytes", sent_bytes(t)},
					 {"sends", p->sends},
					 {"recvs", t->calls},
					 {"chunks", .text = text},
					 {"largest_bytes", largest},
					 {"unlike_send", foreign},
					 {"truncated_recvs", cuts},
					 {"received_bytes", t->received},
					 {"lost_bytes", sent_bytes(t) - t->received},
					 {"misplaced_bytes", t->misplaced},
					 {"left", t->left},
					 {"elapsed_ns", t->elapsed_ns},
					 {0}});
}

/* --- report ---------------------------------------------------------------- */

static struct values of_program(struct run *run, size_t kind, const char *field, size_t program)
{
	return run_values_where(run, kind, field,
				(struct field[]){{"program", .text = programs[program].name}, {0}});
}

static void print_column(struct run *run, size_t kind, size_t program)
{
	double lost = stats_quantile(of_program(run, kind, "lost_bytes", program), 0.5);
	const char *text = first_seen[kind][program];

	if (lost > 0 && programs[program].sends == 1)
		text = text_format("%s (%s lost)", text, text_count((int64_t)lost));
	fprintf(run_out(run), " %-*s", programs[program].width, text);
}

static void print_table(struct run *run)
{
	FILE *out = run_out(run);

	fprintf(out, "  What recv(%lld) returned, call after call:\n", (long long)recv_size);
	fprintf(out, "  %-11s %-17s %-23s %s\n", "", "1 x send(2000)", "1 x send(4000)",
		"5 x send(300) queued");
	for (size_t kind = 0; kind < KINDS; kind++) {
		if (!run_selected(run, kind))
			continue;
		fprintf(out, "  %-11s", variants[kind].name);
		for (size_t program = TWO_THOUSAND; program <= QUEUED; program++)
			print_column(run, kind, program);
		fputs("\n", out);
	}
	fprintf(out, "\n  %-11s %-45s %s\n", "", "5 x send(300) while another thread receives",
		"came as sent");
	for (size_t kind = 0; kind < KINDS; kind++) {
		struct values unlike = of_program(run, kind, "unlike_send", RACING);

		if (!run_selected(run, kind))
			continue;
		fprintf(out, "  %-11s", variants[kind].name);
		print_column(run, kind, RACING);
		fprintf(out, " %zu of %zu\n", unlike.n - stats_nonzero(unlike), unlike.n);
	}
	fputs("\n", out);
}

static void check_books(struct run *run)
{
	for (size_t kind = 0; kind < KINDS; kind++) {
		struct values lost = run_values(run, kind, "lost_bytes");
		struct values told = run_values(run, kind, "truncated_recvs");
		size_t changed = stats_nonzero(run_values(run, kind, "misplaced_bytes"));
		size_t left = stats_nonzero(run_values(run, kind, "left"));
		size_t untold = 0;

		for (size_t i = 0; i < lost.n; i++)
			untold += lost.at[i] && !told.at[i];
		old_control(run, untold + changed + left == 0,
			    "%s: of %zu programs %zu lost bytes that MSG_TRUNC did not tell, %zu "
			    "changed some, %zu left some",
			    variants[kind].name, lost.n, untold, changed, left);
	}
}

static void judge_cut(struct run *run)
{
	double most = 0, stream_lost = 0, datagram_lost = 0;
	size_t messages = 0, datagrams = 0, told = 0;

	for (size_t kind = 0; kind < KINDS; kind++)
		for (size_t program = TWO_THOUSAND; program <= FOUR_THOUSAND; program++) {
			struct values largest = of_program(run, kind, "largest_bytes", program);
			double lost = stats_sum(of_program(run, kind, "lost_bytes", program));

			messages += largest.n;
			most = fmax(most, stats_quantile(largest, 1));
			if (is_stream(kind)) {
				stream_lost += lost;
				continue;
			}
			datagrams += largest.n;
			datagram_lost += lost;
			told += stats_nonzero(of_program(run, kind, "truncated_recvs", program));
		}
	if (messages == 0)
		return;
	old_verdict(run, "tcp-recv-cut", most <= (double)recv_size ? HOLDS : REFUTED,
		    (struct field[]){{"largest_bytes", (int64_t)most},
				     {"recv_bytes", recv_size},
				     {"messages", (int64_t)messages},
				     {"stream_lost_bytes", (int64_t)stream_lost},
				     {"datagram_lost_bytes", (int64_t)datagram_lost},
				     {"truncated_datagrams", (int64_t)told},
				     {"datagrams", (int64_t)datagrams},
				     {0}},
		    "recv(%lld) returned at most %s bytes of %zu messages. Over a stream the next "
		    "recv returned the rest (%.0f bytes lost); %zu of %zu datagrams lost theirs, "
		    "%s bytes in all, and MSG_TRUNC told so",
		    (long long)recv_size, text_count((int64_t)most), messages, stream_lost, told,
		    datagrams, text_count((int64_t)datagram_lost));
}

/* How many of the 5 x send(300) came back as other pieces; *of is of how many. */
static size_t rearranged(struct run *run, size_t kind, size_t *of)
{
	struct values queued = of_program(run, kind, "unlike_send", QUEUED);
	struct values racing = of_program(run, kind, "unlike_send", RACING);

	*of = queued.n + racing.n;
	return stats_nonzero(queued) + stats_nonzero(racing);
}

static void judge_boundaries(struct run *run)
{
	size_t tcp_programs, udp_programs;
	size_t tcp = rearranged(run, TCP, &tcp_programs);
	size_t udp = rearranged(run, UDP, &udp_programs);

	if (tcp_programs == 0 || udp_programs == 0)
		return;
	if (recv_size < EACH) { /* every datagram is cut, so nothing can be told */
		old_verdict(run, "tcp-stream-no-boundary", SKIPPED, NULL,
			    "a recv of %lld bytes cuts every message of %d", (long long)recv_size,
			    EACH);
		return;
	}
	old_verdict(run, "tcp-stream-no-boundary",
		    udp   ? REFUTED
		    : tcp ? HOLDS
			  : NOT_SEEN,
		    (struct field[]){{"tcp_rearranged", (int64_t)tcp},
				     {"tcp_programs", (int64_t)tcp_programs},
				     {"udp_rearranged", (int64_t)udp},
				     {"udp_programs", (int64_t)udp_programs},
				     {0}},
		    "5 x send(300) came out as other pieces in %zu of %zu programs over TCP, in "
		    "%zu of %zu over UDP",
		    tcp, tcp_programs, udp, udp_programs);
}

static void report(struct run *run)
{
	print_table(run);
	check_books(run);
	judge_cut(run);
	judge_boundaries(run);
	old_why(run, "TCP numbers bytes, not messages. send appends to one queue, recv takes what "
		     "is there from another, and segments are cut as suits the network.");
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);
	uint64_t races = 0; /* other pauses each time */

	while (run_next(run))
		for (size_t p = 0; p < PROGRAMS; p++)
			for (int64_t i = 0; i < programs[p].times; i++) {
				struct transfer t = {.kind = run_variant(run),
						     .program = &programs[p],
						     .rng = {races++}};

				measure(&t);
				record(run, &t);
			}
	return old_end(run, report);
}
