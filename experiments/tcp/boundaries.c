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
 * So a protocol over TCP has to mark where its messages end.  Messages with their length in
 * front, and messages that end with a newline, are sent in pieces cut anywhere: also inside the
 * length, and after every byte.  A reader that takes each recv for a message is beside them: it works as long
 * as nobody cuts, which is why the mistake survives its tests.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "check.h"
#include "exp.h"
#include "net.h"
#include "pattern.h"
#include "rng.h"
#include "span.h"
#include "team.h"
#include "text.h"

enum { TCP, UNIX_STREAM, UDP, UNIX_DGRAM, SEQPACKET, KINDS };
enum { NAIVE = KINDS, LENGTH, NEWLINE, VARIANTS };
enum {
	SENDS = 5,
	EACH = 300,
	RACES = 20,
	MOST = 4000,
	TEXT = 128,
	SEEN = 16,
	PAUSE_NS = 20000,
	PREFIX = sizeof(uint32_t)
};

static const struct variant variants[] = {
	[TCP] = {"tcp", "recv sizes over TCP on loopback"},
	[UNIX_STREAM] = {"unix-stream", "over an AF_UNIX stream"},
	[UDP] = {"udp", "over UDP on loopback"},
	[UNIX_DGRAM] = {"unix-dgram", "over AF_UNIX datagrams"},
	[SEQPACKET] = {"seqpacket", "over AF_UNIX SOCK_SEQPACKET"},
	[NAIVE] = {"naive", "a reader that takes each recv for a message"},
	[LENGTH] = {"length", "messages with their length in front (control)"},
	[NEWLINE] = {"newline", "messages that end with a newline (control)"},
	{0}};

static const struct claim claims[] = {
	{"tcp-recv-cut",
	 "recv(1024) hands over at most 1024 bytes of a 2000- or 4000-byte message"},
	{"tcp-stream-no-boundary", "TCP has no message boundaries, UDP keeps them"},
	{0}};

static int64_t recv_size = 1024;
static int64_t messages = 200;
static int64_t longest = 1000;

static const struct opt opts[] = {{'r', "recv", "the most that a recv may return",
				   .num = &recv_size, .min = 1, .max = 65536, .unit = OPT_BYTES},
				  {'m', "messages", "messages for each reader and way to cut",
				   .num = &messages, .min = 10, .max = 10000, .quick = 50},
				  {0, "longest", "the longest of them", .num = &longest, .min = 1,
				   .max = 65536, .unit = OPT_BYTES},
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

/* --- what a recv returns --------------------------------------------------- */

static const struct program {
	const char *name;
	int64_t sends, each; /* bytes */
	bool racing;
} programs[] = {{"2000", 1, 2000, false},
		{"4000", 1, 4000, false},
		{"queued", SENDS, EACH, false},
		{"racing", SENDS, EACH, true}};

enum { PROGRAMS = sizeof(programs) / sizeof(programs[0]), ASKED = 2, QUEUED = 2, RACING = 3 };

struct transfer {
	const struct program *program;
	struct net_pair fd;
	bool stream;
	struct rng rng;
	int64_t chunks[MOST]; /* what each recv returned, in bytes */
	bool cut[MOST];       /* and whether MSG_TRUNC was set */
	int64_t calls, received, misplaced, left;
};

static bool is_stream(size_t kind)
{
	return kind == TCP || kind == UNIX_STREAM;
}

static struct net_pair open_pair(size_t kind)
{
	static const enum net_kind of[] = {[TCP] = NET_TCP,
					   [UNIX_STREAM] = NET_UNIX_STREAM,
					   [UDP] = NET_UDP,
					   [UNIX_DGRAM] = NET_UNIX_DGRAM};
	struct timeval patience = {.tv_sec = 2}; /* for what is lost, which would be waited for */
	struct net_pair pair;
	int fds[2];

	if (kind == SEQPACKET) {
		check_fd(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), "socketpair");
		pair = (struct net_pair){.tx = fds[0], .rx = fds[1]};
	} else {
		pair = net_pair(of[kind], (struct net_ask){0});
	}
	check_fd(setsockopt(pair.rx, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)),
		 "SO_RCVTIMEO");
	return pair;
}

/* Sends all; with random pauses of about as long as a recv takes if one goes on meanwhile. */
static void send_all(struct transfer *t)
{
	uint8_t message[MOST];

	for (int64_t i = 0; i < t->program->sends; i++) {
		int64_t pause_ns = t->program->racing ? (int64_t)rng_below(&t->rng, PAUSE_NS) : 0;
		int64_t next_ns = span_now() + pause_ns;

		pattern_fill(message, (size_t)t->program->each, (uint64_t)(i * t->program->each));
		while (span_now() < next_ns)
			;
		if (send(t->fd.tx, message, (size_t)t->program->each, 0) != t->program->each)
			err(EXIT_USAGE, "send");
	}
}

/* One recv; false when nothing came. */
static bool receive(struct transfer *t, uint8_t *buffer, int flags)
{
	struct iovec into = {buffer, (size_t)recv_size};
	struct msghdr message = {.msg_iov = &into, .msg_iovlen = 1};
	int64_t at = t->stream ? t->received : t->calls * t->program->each;
	ssize_t n = recvmsg(t->fd.rx, &message, flags);

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
	uint8_t *buffer = malloc((size_t)recv_size);
	int64_t all = t->program->sends * t->program->each;

	if (!buffer)
		err(EXIT_USAGE, "malloc");
	while (t->stream ? t->received < all : t->calls < t->program->sends)
		if (!receive(t, buffer, 0))
			break;
	t->left = recv(t->fd.rx, buffer, (size_t)recv_size, MSG_DONTWAIT) >= 0;
	free(buffer);
}

static void race(int member, void *argument)
{
	if (member == 0)
		send_all(argument);
	else
		receive_all(argument);
}

static void transfer(struct transfer *t)
{
	struct team team;

	if (t->program->racing) {
		team_start(&team, 2, TEAM_SPREAD, race, t);
		team_join(&team);
		return;
	}
	send_all(t);
	/* until all has arrived, so that the first recv finds it; a datagram shows the first one */
	for (int64_t tries = 0; t->stream && tries < 1000; tries++)
		if (net_inq(t->fd.rx) == t->program->sends * t->program->each ||
		    !run_sleep_until(span_now() + 1000000))
			break;
	receive_all(t);
}

/* "300, 1024, 176"; what does not fit is left out. */
static void list_chunks(const struct transfer *t, char text[TEXT])
{
	size_t at = 0;

	text[0] = '\0';
	for (int64_t i = 0; i < t->calls && at < TEXT - 16; i++)
		at += (size_t)snprintf(text + at, TEXT - at, "%s%lld%s", i ? ", " : "",
				       (long long)t->chunks[i],
				       at >= TEXT - 32 && i + 1 < t->calls ? ", ..." : "");
}

/* What the recvs of a program returned, in words, and how often: for the table. */
static struct seen {
	char text[TEXT];
	int64_t times;
} seen[KINDS][PROGRAMS][SEEN];

static void note(size_t kind, ptrdiff_t program, const char *text)
{
	for (struct seen *s = seen[kind][program]; s < seen[kind][program] + SEEN; s++)
		if (s->times == 0 || strcmp(s->text, text) == 0) {
			snprintf(s->text, TEXT, "%s", text);
			s->times++;
			return;
		}
}

static void measure_kind(struct run *run, size_t kind, const struct program *program)
{
	static struct transfer t;
	static uint64_t races; /* other pauses each time */
	int64_t largest = 0, cuts = 0, foreign = 0, begin_ns = span_now();
	char text[TEXT];

	t = (struct transfer){.program = program,
			      .fd = open_pair(kind),
			      .stream = is_stream(kind),
			      .rng = {races++}};
	transfer(&t);
	for (int64_t i = 0; i < t.calls; i++) {
		largest = t.chunks[i] > largest ? t.chunks[i] : largest;
		cuts += t.cut[i];
		foreign += t.chunks[i] != program->each;
		run_row(run, "recv",
			(struct field[]){{"program", .text = program->name},
					 {"call", i},
					 {"returned_bytes", t.chunks[i]},
					 {"truncated", t.cut[i]},
					 {0}});
	}
	list_chunks(&t, text);
	note(kind, program - programs,
	     t.calls == SENDS && !foreign ? text_format("%d x %d", SENDS, EACH) : text);
	run_record(run,
		   (struct field[]){{"program", .text = program->name},
				    {"sent_bytes", program->sends * program->each},
				    {"sends", program->sends},
				    {"recvs", t.calls},
				    {"chunks", .text = text},
				    {"largest_bytes", largest},
				    {"unlike_send", foreign},
				    {"truncated_recvs", cuts},
				    {"received_bytes", t.received},
				    {"lost_bytes", program->sends * program->each - t.received},
				    {"misplaced_bytes", t.misplaced},
				    {"left", t.left},
				    {"elapsed_ns", span_now() - begin_ns},
				    {0}});
	net_close(&t.fd);
}

/* --- framing --------------------------------------------------------------- */

enum { UNCUT, RANDOM, BYTES, INSIDE, CUTS };

static const char *const cut_names[CUTS] = {"uncut", "random", "bytes", "inside"};

/* All messages as they go over the connection, and where each begins and ends. */
struct stream {
	uint8_t *bytes;
	size_t length;
	struct place {
		size_t frame, body, size; /* where its frame and itself begin, its bytes */
	} * at;
};

/* What a reader has got of a message so far; it knows nothing of how the stream was cut. */
struct reader {
	size_t framing;
	const struct stream *stream; /* to compare with, and for nothing else */
	uint8_t *message;
	size_t have;
	uint8_t prefix[PREFIX];
	size_t prefix_have, expected; /* of LENGTH */
	size_t fed;                   /* bytes of the stream before this piece */
	int64_t next;                 /* the message that it should be */
	int64_t delivered, whole;     /* messages handed over, and those that were right */
};

static struct stream make_stream(size_t framing, struct rng *rng)
{
	struct stream s = {malloc((size_t)messages * ((size_t)longest + PREFIX)), 0,
			   calloc((size_t)messages, sizeof(*s.at))};

	if (!s.bytes || !s.at)
		err(EXIT_USAGE, "malloc");
	for (int64_t i = 0; i < messages; i++) {
		size_t size = 1 + rng_below(rng, (size_t)longest);
		uint32_t prefix = htonl((uint32_t)size);
		uint8_t *body = s.bytes + s.length + (framing == LENGTH ? PREFIX : 0);

		if (framing == LENGTH)
			memcpy(s.bytes + s.length, &prefix, PREFIX);
		s.at[i] = (struct place){s.length, (size_t)(body - s.bytes), size};
		pattern_fill(body, size, s.length);
		for (size_t k = 0; framing == NEWLINE && k < size; k++)
			body[k] = body[k] == '\n' ? ' ' : body[k];
		if (framing == NEWLINE)
			body[size] = '\n';
		s.length = (size_t)(body - s.bytes) + size + (framing == NEWLINE);
	}
	return s;
}

static void deliver(struct reader *r)
{
	const struct place *at = r->stream->at;

	/* what is cut out of the stream in another place may still be a message by chance */
	while (r->framing == NAIVE && r->next < messages && at[r->next].frame < r->fed)
		r->next++;
	if (r->next < messages && r->have == at[r->next].size &&
	    memcmp(r->message, r->stream->bytes + at[r->next].body, r->have) == 0)
		r->whole++;
	r->next++;
	r->delivered++;
	r->have = 0;
}

static void append(struct reader *r, const uint8_t *bytes, size_t n)
{
	if (r->have + n > (size_t)longest)
		n = (size_t)longest - r->have; /* no message is longer: it will be wrong */
	memcpy(r->message + r->have, bytes, n);
	r->have += n;
}

static void read_length(struct reader *r, const uint8_t *bytes, size_t n)
{
	while (n > 0) {
		size_t take;

		if (r->prefix_have < PREFIX) {
			uint32_t size;

			r->prefix[r->prefix_have++] = *bytes++;
			n--;
			memcpy(&size, r->prefix, PREFIX);
			r->expected = ntohl(size);
			continue;
		}
		take = r->expected < n ? r->expected : n;
		append(r, bytes, take);
		bytes += take;
		n -= take;
		r->expected -= take;
		if (r->expected == 0) {
			deliver(r);
			r->prefix_have = 0;
		}
	}
}

static void read_lines(struct reader *r, const uint8_t *bytes, size_t n)
{
	const uint8_t *end;

	while ((end = memchr(bytes, '\n', n))) {
		append(r, bytes, (size_t)(end - bytes));
		deliver(r);
		n -= (size_t)(end - bytes) + 1;
		bytes = end + 1;
	}
	append(r, bytes, n);
}

static void feed(struct reader *r, const uint8_t *bytes, size_t n)
{
	switch (r->framing) {
	case LENGTH:
		read_length(r, bytes, n);
		break;
	case NEWLINE:
		read_lines(r, bytes, n);
		break;
	default:
		append(r, bytes, n);
		deliver(r);
	}
	r->fed += n;
}

/* Where the piece of the stream that begins at `from` ends; *next is the frame after it. */
static size_t piece_end(const struct stream *s, size_t cut, size_t from, int64_t *next,
			struct rng *rng)
{
	size_t end = from + 1; /* BYTES */

	if (cut == UNCUT)
		end = ++*next < messages ? s->at[*next].frame : s->length;
	else if (cut == RANDOM)
		end = from + 1 + rng_below(rng, 2 * (size_t)longest);
	else if (cut == INSIDE) /* two bytes into the next frame: inside its length */
		end = ++*next < messages ? s->at[*next].frame + 2 : s->length;
	return end < s->length ? end : s->length;
}

/* Sends the stream in pieces, and lets the reader have each before the next one is sent. */
static void measure_framing(struct run *run, size_t framing, size_t cut)
{
	struct rng rng = {(uint64_t)run_trial(run) * CUTS + cut}; /* the same for all framings */
	struct stream s = make_stream(framing, &rng);
	struct reader r = {framing, &s, .message = malloc((size_t)longest)};
	struct net_pair fd = open_pair(TCP);
	uint8_t *buffer = malloc((size_t)recv_size);
	int64_t next = 0, pieces = 0, recvs = 0, begin_ns = span_now();

	if (!r.message || !buffer)
		err(EXIT_USAGE, "malloc");
	net_set(fd.tx, IPPROTO_TCP, TCP_NODELAY, 1);
	for (size_t sent = 0, got = 0; sent < s.length && !run_stopped(); pieces++) {
		size_t end = piece_end(&s, cut, sent, &next, &rng);

		if (send(fd.tx, s.bytes + sent, end - sent, 0) != (ssize_t)(end - sent))
			err(EXIT_USAGE, "send");
		for (sent = end; got < sent; recvs++) {
			ssize_t n = recv(fd.rx, buffer, (size_t)recv_size, 0);

			if (n <= 0)
				err(EXIT_USAGE, "recv");
			feed(&r, buffer, (size_t)n);
			got += (size_t)n;
		}
	}
	run_record(run, (struct field[]){{"cut", .text = cut_names[cut]},
					 {"messages", messages},
					 {"pieces", pieces},
					 {"recvs", recvs},
					 {"delivered", r.delivered},
					 {"whole", r.whole},
					 {"broken", messages - r.whole},
					 {"stream_bytes", (int64_t)s.length},
					 {"elapsed_ns", span_now() - begin_ns},
					 {0}});
	net_close(&fd);
	free(s.bytes);
	free(s.at);
	free(r.message);
	free(buffer);
}

/* --- report ---------------------------------------------------------------- */

/*
 * The samples of one program, or of one way to cut: those of every variant come in rounds of the
 * same order, `first` of them before and so many of each round.
 */
static struct values part_of(struct run *run, size_t variant, const char *field, size_t first,
			     size_t count, size_t round)
{
	struct values all = run_values(run, variant, field);
	struct values part = {all.at, 0};

	for (size_t i = 0; i < all.n; i++)
		if (i % round >= first && i % round < first + count)
			part.at[part.n++] = all.at[i];
	return part;
}

static struct values of_program(struct run *run, size_t kind, const char *field, size_t program)
{
	return part_of(run, kind, field, program, program == RACING ? RACES : 1, RACING + RACES);
}

static struct values of_cut(struct run *run, size_t framing, const char *field, size_t cut)
{
	return part_of(run, framing, field, cut, 1, CUTS);
}

/* "1024, 976 (976 lost)" */
static const char *usual(struct run *run, size_t kind, size_t program)
{
	double lost = stats_quantile(of_program(run, kind, "lost_bytes", program), 0.5);
	const char *text = seen[kind][program][0].text;

	return lost > 0 ? text_format("%s (%s lost)", text, text_count((int64_t)lost)) : text;
}

static void print_kinds(struct run *run)
{
	FILE *out = run_out(run);

	fprintf(out, "  What recv(%lld) returned, call after call:\n", (long long)recv_size);
	fprintf(out, "  %-12s %-18s %-23s %s\n", "", "1 x send(2000)", "1 x send(4000)",
		"5 x send(300) queued");
	for (size_t kind = 0; kind < KINDS; kind++)
		if (run_selected(run, kind))
			fprintf(out, "  %-12s %-18.18s %-23.23s %.22s\n", variants[kind].name,
				usual(run, kind, 0), usual(run, kind, 1), usual(run, kind, QUEUED));
	fputs("\n  5 x send(300) while another thread receives:\n", out);
	for (size_t kind = 0; kind < KINDS; kind++) {
		size_t ways = 0;

		if (!run_selected(run, kind))
			continue;
		fprintf(out, "  %-12s ", variants[kind].name);
		for (const struct seen *s = seen[kind][RACING]; ways < SEEN && s->times; s++)
			ways++;
		for (size_t i = 0; i < ways && i < 2; i++)
			fprintf(out, "%s%.22s (%lldx)", i ? "; " : "", seen[kind][RACING][i].text,
				(long long)seen[kind][RACING][i].times);
		fprintf(out, "%s\n", ways > 2 ? text_format("; %zu more ways", ways - 2) : "");
	}
	fputs("\n", out);
}

static void print_framings(struct run *run)
{
	FILE *out = run_out(run);

	if (!run_selected(run, NAIVE) && !run_selected(run, LENGTH) && !run_selected(run, NEWLINE))
		return;
	fprintf(out, "  %lld messages over TCP, delivered whole however the pieces are cut:\n",
		(long long)messages);
	fprintf(out, "  %-12s %14s %14s %16s %16s\n", "reader", "one a send", "anywhere",
		"after each byte", "inside a length");
	for (size_t v = NAIVE; v <= NEWLINE; v++) {
		if (!run_selected(run, v))
			continue;
		fprintf(out, "  %-12s", variants[v].name);
		for (size_t cut = 0; cut < CUTS; cut++)
			fprintf(out, " %*s", cut < BYTES ? 14 : 16,
				text_share(stats_sum(of_cut(run, v, "whole", cut)) /
					   stats_sum(of_cut(run, v, "messages", cut))));
		fputs("\n", out);
	}
	fputs("\n", out);
}

static void check_books(struct run *run)
{
	for (size_t kind = 0; kind < KINDS; kind++) {
		struct values lost = run_values(run, kind, "lost_bytes");
		struct values misplaced = run_values(run, kind, "misplaced_bytes");
		struct values left = run_values(run, kind, "left");
		struct values told = run_values(run, kind, "truncated_recvs");
		size_t untold = 0;

		for (size_t i = 0; i < lost.n; i++)
			untold += lost.at[i] && !told.at[i];
		run_control(run, untold + stats_nonzero(misplaced) + stats_nonzero(left) == 0,
			    "%s: of %zu programs %zu lost bytes that MSG_TRUNC did not tell, %zu "
			    "changed some, %zu left some",
			    variants[kind].name, lost.n, untold, stats_nonzero(misplaced),
			    stats_nonzero(left));
	}
	for (size_t v = LENGTH; v <= NEWLINE; v++)
		run_control(run, stats_nonzero(run_values(run, v, "broken")) == 0,
			    "%s: %.0f of %.0f messages broke", variants[v].name,
			    stats_sum(run_values(run, v, "broken")),
			    stats_sum(run_values(run, v, "messages")));
}

static void judge_cut(struct run *run)
{
	double most = 0, stream_lost = 0, datagram_lost = 0;
	size_t trials = 0, told = 0, datagrams = 0;

	for (size_t kind = 0; kind < KINDS; kind++)
		for (size_t program = 0; program < ASKED; program++) {
			struct values largest = of_program(run, kind, "largest_bytes", program);
			double lost = stats_sum(of_program(run, kind, "lost_bytes", program));

			if (largest.n == 0)
				continue;
			trials += largest.n;
			if (stats_quantile(largest, 1) > most)
				most = stats_quantile(largest, 1);
			if (is_stream(kind)) {
				stream_lost += lost;
				continue;
			}
			datagram_lost += lost;
			datagrams += largest.n;
			told += stats_nonzero(of_program(run, kind, "truncated_recvs", program));
		}
	if (trials == 0)
		return;
	run_verdict(run, "tcp-recv-cut", most <= (double)recv_size ? HOLDS : REFUTED,
		    (struct field[]){{"largest_bytes", (int64_t)most},
				     {"recv_bytes", recv_size},
				     {"messages", (int64_t)trials},
				     {"stream_lost_bytes", (int64_t)stream_lost},
				     {"datagram_lost_bytes", (int64_t)datagram_lost},
				     {"truncated_datagrams", (int64_t)told},
				     {"datagrams", (int64_t)datagrams},
				     {0}},
		    "recv(%lld) returned at most %s bytes of %zu messages. Over a stream the next "
		    "recv returned the rest (%.0f bytes lost); %zu of %zu datagrams lost theirs, "
		    "%s bytes in all, and MSG_TRUNC told so",
		    (long long)recv_size, text_count((int64_t)most), trials, stream_lost, told,
		    datagrams, text_count((int64_t)datagram_lost));
}

/* How many of the 5 x send(300) came back as other pieces. */
static size_t rearranged(struct run *run, size_t kind, size_t *trials)
{
	struct values queued = of_program(run, kind, "unlike_send", QUEUED);
	size_t unlike = stats_nonzero(queued);
	struct values racing;

	*trials += queued.n;
	racing = of_program(run, kind, "unlike_send", RACING);
	*trials += racing.n;
	return unlike + stats_nonzero(racing);
}

static void judge_boundaries(struct run *run)
{
	size_t tcp_trials = 0, trials = 0, broken;
	size_t tcp = rearranged(run, TCP, &tcp_trials);
	double naive = 0, sent = 0;

	broken = rearranged(run, UDP, &trials);
	for (size_t cut = RANDOM; cut < CUTS; cut++) {
		naive += stats_sum(of_cut(run, NAIVE, "broken", cut));
		sent += stats_sum(of_cut(run, NAIVE, "messages", cut));
	}
	if (tcp_trials == 0 || trials == 0)
		return;
	if (recv_size < EACH) { /* every datagram is cut, so nothing can be told */
		run_verdict(run, "tcp-stream-no-boundary", SKIPPED, NULL,
			    "a recv of %lld bytes cuts every message of %d", (long long)recv_size,
			    EACH);
		return;
	}
	run_verdict(run, "tcp-stream-no-boundary",
		    broken ? REFUTED
		    : tcp  ? HOLDS
			   : NOT_SEEN,
		    (struct field[]){{"tcp_rearranged", (int64_t)tcp},
				     {"tcp_programs", (int64_t)tcp_trials},
				     {"udp_rearranged", (int64_t)broken},
				     {"udp_programs", (int64_t)trials},
				     {"naive_broken", (int64_t)naive},
				     {"naive_messages", (int64_t)sent},
				     {0}},
		    "5 x send(300) came out as other pieces in %zu of %zu programs over TCP, in "
		    "%zu of %zu over UDP%s",
		    tcp, tcp_trials, broken, trials,
		    sent > 0 ? text_format("; a reader that takes a recv for a message broke %s of "
					   "%s",
					   text_count((int64_t)naive), text_count((int64_t)sent))
			     : "");
}

static void report(struct run *run)
{
	print_kinds(run);
	print_framings(run);
	check_books(run);
	judge_cut(run);
	judge_boundaries(run);
	run_why(run,
		"TCP numbers bytes, not messages. send appends to one queue, recv takes what is "
		"there from another, and segments are cut as suits the network. So a program "
		"must say in the bytes themselves where a message ends.");
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	while (run_next(run)) {
		size_t variant = run_variant(run);

		for (size_t cut = 0; variant >= KINDS && cut < CUTS; cut++)
			measure_framing(run, variant, cut);
		for (size_t p = 0; variant < KINDS && p < PROGRAMS; p++)
			for (int i = 0; i < (programs[p].racing ? RACES : 1); i++)
				measure_kind(run, variant, &programs[p]);
	}
	return run_end(run, report);
}
