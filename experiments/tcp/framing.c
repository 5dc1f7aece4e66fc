/* SPDX-License-Identifier: MIT */
/*
 * framing - how a protocol over TCP marks where its messages end.
 *
 * TCP hands over a stream of bytes, cut anywhere (boundaries.c).  So each message is sent with its
 * length in front, or with a newline behind it, and a reader collects bytes until it has a whole
 * one.  The same messages are sent in pieces, each of which is read before the next one is sent:
 *
 *	uncut   a message a piece;
 *	random  cut anywhere;
 *	bytes   cut after each byte;
 *	inside  cut two bytes into each message: inside its length.
 *
 * The naive reader takes each recv for a message.  It works as long as nobody cuts, which is why
 * the mistake survives its tests.
 */
#include <arpa/inet.h>
#include <err.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "net.h"
#include "pattern.h"
#include "rng.h"
#include "span.h"

enum { NAIVE, LENGTH, NEWLINE };
enum { UNCUT, RANDOM, BYTES, INSIDE, CUTS };

static const struct variant variants[] = {
	[NAIVE] = {"naive", "a reader that takes each recv for a message"},
	[LENGTH] = {"length", "messages with their length in front (control)"},
	[NEWLINE] = {"newline", "messages that end with a newline (control)"},
	{0}};

static const char *const cut_names[CUTS] = {"uncut", "random", "bytes", "inside"};

static const struct claim claims[] = {
	{"tcp-framing",
	 "a length in front of each message, or a newline behind it, brings message boundaries back over TCP",
	 "length=naive", REFUTED,
	 .why = {[HOLDS] =
			 "a program must say in the bytes themselves where a message ends: then it does not matter how TCP cuts them."}},
	{0}};

static const struct row_field fields[] = {
	{"cut", "how the stream is cut: uncut, random, bytes, inside (a length)", "cut",
	 .text = true, .key = true},
	{"messages", "sent"},
	{"whole", "delivered as they were sent", "whole", SHOW_SUM, "messages"},
	{"broken", "of the others", "broken", SHOW_SUM},
	{"framed_broken", "the same of readers that know where a message ends", .zero = true,
	 .sham = "newline=naive"},
	{"pieces", "that the stream was sent in", "pieces"},
	{"recvs", "calls", "recvs"},
	{"delivered", "messages, whole or not"},
	{"stream_bytes", "of the stream"},
	{"elapsed_ns", "of the trial"},
	{0}};

static const struct bound bounds[] = {
	{"enough_messages", 80, "ten for each reader and way to cut, cut at every byte among them"},
	{0}};

enum { RECV_MOST = 65536, LONGEST_MOST = 65536, PREFIX = sizeof(uint32_t) };

static int64_t recv_size = 1024;
static int64_t messages = 200;
static int64_t longest = 1000;

static const struct opt opts[] = {{'r', "recv", "the most that a recv may return",
				   .num = &recv_size, .min = 1, .max = RECV_MOST,
				   .unit = OPT_BYTES},
				  {'m', "messages", "messages for each reader and way to cut",
				   .num = &messages, .min = 10, .max = 10000, .quick = 50},
				  {0, "longest", "the longest of them", .num = &longest, .min = 1,
				   .max = LONGEST_MOST, .unit = OPT_BYTES},
				  {0}};

/* --- what is sent ---------------------------------------------------------- */

/* All messages as they go over the connection, and where each stands. */
struct stream {
	uint8_t *bytes;
	size_t length;
	struct place {
		size_t frame, body, size; /* where its frame and itself begin, its bytes */
	} * at;
};

static void make_stream(struct stream *s, size_t reader, struct rng *rng)
{
	*s = (struct stream){check_alloc(malloc((size_t)messages * ((size_t)longest + PREFIX))), 0,
			     check_alloc(calloc((size_t)messages, sizeof(*s->at)))};
	for (struct place *at = s->at; at < s->at + messages; at++) {
		uint32_t prefix;

		at->frame = s->length;
		at->size = 1 + rng_below(rng, (size_t)longest);
		prefix = htonl((uint32_t)at->size);
		if (reader == LENGTH) {
			memcpy(s->bytes + s->length, &prefix, PREFIX);
			s->length += PREFIX;
		}
		at->body = s->length;
		pattern_fill(s->bytes + at->body, at->size, at->frame);
		s->length += at->size;
		if (reader == NEWLINE) {
			for (size_t i = at->body; i < s->length; i++)
				s->bytes[i] = s->bytes[i] == '\n' ? ' ' : s->bytes[i];
			s->bytes[s->length++] = '\n';
		}
	}
}

/* Where the piece of the stream that begins at `from` ends; *next is the message after it. */
static size_t piece_end(const struct stream *s, size_t cut, size_t from, int64_t *next,
			struct rng *rng)
{
	size_t end;

	if (cut == RANDOM)
		end = from + 1 + rng_below(rng, 2 * (size_t)longest);
	else if (cut == BYTES)
		end = from + 1;
	else if (++*next < messages)
		end = s->at[*next].frame + (cut == INSIDE ? 2 : 0);
	else
		end = s->length;
	return end < s->length ? end : s->length;
}

/* --- the readers ----------------------------------------------------------- */

/* What a reader has got of a message so far; it knows nothing of how the stream was cut. */
struct reader {
	const struct stream *stream; /* to compare with, and for nothing else */
	uint8_t message[LONGEST_MOST];
	size_t have;
	uint8_t prefix[PREFIX]; /* of LENGTH */
	size_t prefix_have, missing;
	int64_t next;             /* the message that it should be */
	int64_t delivered, whole; /* messages handed over, and those that were right */
};

static void append(struct reader *r, const uint8_t *bytes, size_t n)
{
	if (r->have + n > (size_t)longest)
		n = (size_t)longest - r->have; /* no message is longer: it will be wrong */
	memcpy(r->message + r->have, bytes, n);
	r->have += n;
}

static bool is_right(const struct reader *r)
{
	const struct place *at;

	if (r->next >= messages)
		return false;
	at = &r->stream->at[r->next];
	return r->have == at->size && memcmp(r->message, r->stream->bytes + at->body, r->have) == 0;
}

static void deliver(struct reader *r)
{
	r->whole += is_right(r);
	r->next++;
	r->delivered++;
	r->have = 0;
}

/* fed = bytes of the stream before these */
static void read_naively(struct reader *r, const uint8_t *bytes, size_t n, size_t fed)
{
	/* what is cut out of the stream in another place may still be a message by chance */
	while (r->next < messages && r->stream->at[r->next].frame < fed)
		r->next++;
	append(r, bytes, n);
	deliver(r);
}

static void read_length(struct reader *r, const uint8_t *bytes, size_t n)
{
	while (n > 0) {
		bool in_prefix = r->prefix_have < PREFIX;
		size_t wanted = in_prefix ? PREFIX - r->prefix_have : r->missing;
		size_t take = wanted < n ? wanted : n;

		if (in_prefix) {
			uint32_t size;

			memcpy(r->prefix + r->prefix_have, bytes, take);
			memcpy(&size, r->prefix, PREFIX);
			r->prefix_have += take;
			r->missing = ntohl(size);
		} else {
			append(r, bytes, take);
			r->missing -= take;
		}
		bytes += take;
		n -= take;
		if (r->prefix_have == PREFIX && r->missing == 0) {
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

static void feed(struct reader *r, size_t reader, const uint8_t *bytes, size_t n, size_t fed)
{
	if (reader == NAIVE)
		read_naively(r, bytes, n, fed);
	else if (reader == LENGTH)
		read_length(r, bytes, n);
	else
		read_lines(r, bytes, n);
}

/* --- one trial ------------------------------------------------------------- */

struct transfer {
	struct stream stream;
	struct reader reader;
	int64_t pieces, recvs, elapsed_ns;
};

/* Lets the reader have what was sent. */
static void read_until(struct transfer *t, int rx, size_t reader, size_t *got, size_t sent)
{
	uint8_t buffer[RECV_MOST];

	for (; *got < sent; t->recvs++) {
		ssize_t n = recv(rx, buffer, (size_t)recv_size, 0);

		if (n <= 0)
			err(EXIT_USAGE, "recv");
		feed(&t->reader, reader, buffer, (size_t)n, *got);
		*got += (size_t)n;
	}
}

/*
 * Sends the stream in pieces, each of which is read before the next one is sent.  A piece for which
 * the buffers have no room is read as it goes: a send that waited for room would wait for ever.
 */
static void send_pieces(struct transfer *t, size_t reader, size_t cut, struct rng *rng)
{
	struct net_pair fd = net_pair(NET_TCP, (struct net_ask){0});
	const struct stream *s = &t->stream;
	size_t sent = 0, got = 0;
	int64_t next = 0;

	net_set(fd.tx, IPPROTO_TCP, TCP_NODELAY, 1);
	while (sent < s->length && !run_stopped()) {
		size_t end = piece_end(s, cut, sent, &next, rng);

		for (t->pieces++; sent < end; read_until(t, fd.rx, reader, &got, sent)) {
			ssize_t n = net_send_now(fd.tx, s->bytes + sent, end - sent);

			sent += n > 0 ? (size_t)n : 0;
		}
	}
	net_close(&fd);
}

static void measure(struct transfer *t, size_t reader, size_t cut, uint64_t seed)
{
	struct rng rng = {seed};

	*t = (struct transfer){.reader = {.stream = &t->stream}};
	make_stream(&t->stream, reader, &rng);
	t->elapsed_ns = -span_now();
	send_pieces(t, reader, cut, &rng);
	t->elapsed_ns += span_now();
	free(t->stream.bytes);
	free(t->stream.at);
}

static void record(struct run *run, const struct transfer *t, size_t cut)
{
	run_record(run, (struct field[]){{"cut", .text = cut_names[cut]},
					 {"messages", messages},
					 {"pieces", t->pieces},
					 {"recvs", t->recvs},
					 {"delivered", t->reader.delivered},
					 {"whole", t->reader.whole},
					 {"broken", messages - t->reader.whole},
					 {"stream_bytes", (int64_t)t->stream.length},
					 {"elapsed_ns", t->elapsed_ns},
					 {run_label(run) == NAIVE ? NULL : "framed_broken",
					  messages - t->reader.whole},
					 {0}});
}

/* --- judge --------------------------------------------------------------- */

static void judge(struct run *run)
{
	struct share framed = share_add(run_part(run, LENGTH, "broken", "messages"),
					run_part(run, NEWLINE, "broken", "messages"));
	struct share naive = run_part(run, NAIVE, "broken", "messages");

	run_judge(
		run, "tcp-framing",
		all_of(never_happens(framed, (int64_t)run_bound(run, "enough_messages")),
		       can_happen(naive)),
		"{framed} messages with a length or a newline broke, however they were cut; for a reader that takes each recv for a message {naive} did",
		number_share("framed", framed), number_share("naive", naive));
}

static const struct experiment about = {
	.name = "framing",
	.group = "tcp",
	.order = 414,
	.summary = "How does a reader tell where a message ends?",
	.intro = "{messages} messages over TCP for each reader and way to cut them.",
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

	while (run_next(run))
		for (size_t cut = 0; cut < CUTS; cut++) {
			uint64_t seed = (uint64_t)run_trial(run) * CUTS + cut; /* for all readers */
			struct transfer t;

			measure(&t, run_variant(run), cut, seed);
			record(run, &t, cut);
		}
	return run_end(run);
}
