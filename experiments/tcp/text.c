/* SPDX-License-Identifier: MIT */
/*
 * text - can a message cut at 1,024 bytes be decoded?
 *
 * recv(1024) cuts a longer message after so many bytes, and UTF-8 writes most of the world's characters
 * as two to four of them.  A text goes over TCP, and its receiver decodes by iconv(3) each piece
 *
 *	alone, as a server does that decodes what recv returned;
 *	behind what was left of the piece before: an incremental decoder.
 *
 * Letters in front of the text move the cut over every byte of its characters.  Every CPython found
 * does the same by text.py: by bytes.decode(), and by an incremental decoder of the module codecs.
 */
#include <err.h>
#include <errno.h>
#include <iconv.h>
#include <string.h>
#include <sys/socket.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "language.h"
#include "net.h"
#include "python.h"
#include "span.h"
#include "text.h"

enum { ASCII, LATIN, KOREAN, EMOJI, TEXTS, PYTHON = TEXTS };
enum { SIZE_MOST = 16384, LONGEST = 4, LEADS = 60 }; /* 60: each word's length divides it */

static const struct variant variants[] = {
	[ASCII] = {"ascii", "characters of 1 byte", "Server"},
	[LATIN] = {"latin", "of 1 byte, and of 2 with an accent", "d\u00e9j\u00e0 vu "},
	[KOREAN] = {"korean", "of 3 bytes", "\uc548\ub155\ud558\uc138\uc694"},
	[EMOJI] = {"emoji", "of 4 bytes", "\U0001f600"},
	[PYTHON] = {"python", "the Korean text in each CPython found"},
	{0}};

static const struct claim claims[] = {
	{"text-cut", "a message cut at 1,024 bytes can be decoded",
	 "latin=ascii,korean=ascii,emoji=ascii", HOLDS,
	 .why = {[DEPENDS] =
			 "recv counts bytes, not characters. A cut inside a character leaves its first bytes in one piece, which wait for more, and its last ones in the next, with which no character begins. A decoder that keeps what is left of a piece for the next one reads every text."}},
	{0}};

static const struct row_field fields[] = {
	{"cut_after_bytes",
	 "of the character at the first cut, in the piece before it; 0: the cut is between two",
	 "bytes before|the cut", .key = true},
	{"messages", "cut so, a trial", "messages"},
	{"decoded", "of these, whose pieces were all decoded, each alone", "decoded|alone",
	 SHOW_SHARE, "messages"},
	{"kept_decoded", "decoded with what was left of a piece before the next one",
	 "keeping|the rest", SHOW_SHARE, "messages"},
	{"characters", "of all messages"},
	{"pieces", "that recv returned of all messages"},
	{"unexplained",
	 "messages with a cut character that were decoded, or that failed without one",
	 .zero = true, .sham = "lenient"},
	{"kept_wrong_characters", "sent, and not decoded by who keeps the rest", .zero = true,
	 .sham = "forget"},
	{"python", "version of CPython", .text = true},
	{"decode", "what bytes.decode() gave: decoded, or its exception", .text = true},
	{"raised", "1: that was UnicodeDecodeError"},
	{"incremental_wrong", "1: an incremental decoder of CPython did not give the text",
	 .zero = true, .sham = "forget"},
	{0}};

static const struct bound bounds[] = {
	{"enough_messages", LEADS, "with a cut at each byte of a text's characters"}, {0}};

static int64_t recv_size = 1024;
static int64_t size = 1500;
static const char *python_list;

static const struct opt opts[] = {
	{'r', "recv", "the most that a recv may return", .num = &recv_size, .min = 1,
	 .max = SIZE_MOST, .unit = OPT_BYTES},
	{'s', "size", "of a message, at most", .num = &size, .min = LEADS + LONGEST,
	 .max = SIZE_MOST, .unit = OPT_BYTES},
	{0, "python", "CPython interpreters, with commas (default: all found)",
	 .text = &python_list, .metavar = "PATH"},
	{0}};

static const char *script; /* of Python; NULL = it is not there */
static struct python pythons[PYTHONS];
static size_t pythons_n;

/* --- text ------------------------------------------------------------------ */

static iconv_t converter;

struct decoded {
	wchar_t characters[SIZE_MOST + LONGEST];
	size_t n;    /* characters */
	size_t left; /* bytes from the first that is of no whole character on */
};

static void decode(const uint8_t *bytes, size_t length, struct decoded *d)
{
	char *from = (char *)bytes, *to = (char *)d->characters;
	size_t room = sizeof(d->characters);

	iconv(converter, NULL, NULL, NULL, NULL); /* nothing of an earlier piece */
	d->left = length;
	/* EINVAL: it ends inside a character; EILSEQ: no character begins so */
	if (iconv(converter, &from, &d->left, &to, &room) == (size_t)-1 && errno != EINVAL &&
	    errno != EILSEQ)
		err(EXIT_USAGE, "iconv");
	d->n = sizeof(d->characters) / sizeof(wchar_t) - room / sizeof(wchar_t);
}

struct message {
	uint8_t bytes[SIZE_MOST];
	size_t length;
	struct decoded whole;
};

static bool continues(int byte)
{
	return (byte & 0xc0) == 0x80;
}

/* So many letters, then a word again and again, as far as its characters fit. */
static void make_message(struct message *m, const char *word, size_t lead)
{
	const char *at = word;

	memset(m->bytes, 'a', lead);
	m->length = lead;
	for (;;) {
		size_t n = 1;

		while (continues(at[n]))
			n++;
		if (m->length + n > (size_t)size)
			break;
		memcpy(m->bytes + m->length, at, n);
		m->length += n;
		at = at[n] ? at + n : word;
	}
	decode(m->bytes, m->length, &m->whole);
}

/* How many bytes of a character stand before this place; 0: it is between two. */
static size_t cut_after(const struct message *m, size_t at)
{
	size_t n = 0;

	while (at < m->length && continues(m->bytes[at - n]))
		n++;
	return n;
}

/* --- one message ----------------------------------------------------------- */

/* What was seen of the messages that were cut alike. */
struct tally {
	int64_t messages, decoded, kept_decoded, characters, pieces, unexplained, kept_wrong;
};

/* An incremental decoder. */
struct keeper {
	uint8_t bytes[LONGEST + SIZE_MOST]; /* what was left, and behind it the next piece */
	size_t have;
	size_t right; /* characters that are those that were sent, and in their places */
};

static void keep(struct keeper *k, const uint8_t *piece, size_t n, const struct message *m)
{
	static struct decoded d;
	size_t rest;

	memcpy(k->bytes + k->have, piece, n);
	decode(k->bytes, k->have + n, &d);
	for (size_t i = 0; i < d.n && k->right < m->whole.n; i++)
		k->right += d.characters[i] == m->whole.characters[k->right];
	rest = d.left < LONGEST ? d.left : 0; /* more will never be a character */
	memmove(k->bytes, k->bytes + k->have + n - d.left, rest);
	k->have = rest;
}

static void receive(const struct run *run, int rx, const struct message *m, struct tally *tally)
{
	static struct keeper keeper;
	static struct decoded alone;
	static uint8_t piece[SIZE_MOST];
	bool failed = false, cut = false;
	size_t got = 0;

	keeper = (struct keeper){0};
	while (got < m->length) {
		ssize_t n = recv(rx, piece, (size_t)recv_size, 0);

		if (n <= 0)
			err(EXIT_USAGE, "recv");
		decode(piece, (size_t)n, &alone);
		failed |= alone.left > 0 && !run_sham(run, "lenient");
		if (run_sham(run, "forget"))
			keeper.have = 0;
		keep(&keeper, piece, (size_t)n, m);
		got += (size_t)n;
		cut |= cut_after(m, got) > 0;
		tally->pieces++;
	}
	tally->messages++;
	tally->characters += (int64_t)m->whole.n;
	tally->decoded += !failed;
	tally->kept_decoded += keeper.right == m->whole.n;
	tally->kept_wrong += (int64_t)(m->whole.n - keeper.right);
	tally->unexplained += failed != cut;
}

static void send_message(const struct run *run, const struct message *m, struct tally *tally)
{
	struct net_pair fd = net_pair(NET_TCP, (struct net_ask){0});

	if (send(fd.tx, m->bytes, m->length, 0) != (ssize_t)m->length)
		err(EXIT_USAGE, "send");
	while (net_inq(fd.rx) < (int64_t)m->length) /* so that only recv cuts */
		if (!run_sleep_until(span_now() + 100000))
			break;
	receive(run, fd.rx, m, tally);
	net_close(&fd);
}

static void measure_text(struct run *run)
{
	static struct message message;
	struct tally tallies[LONGEST] = {0};

	for (size_t lead = 0; lead < LEADS && !run_stopped(); lead++) {
		make_message(&message, run_how(run), lead);
		send_message(run, &message, &tallies[cut_after(&message, (size_t)recv_size)]);
	}
	for (int64_t i = 0; i < LONGEST; i++) {
		const struct tally *t = &tallies[i];

		if (t->messages > 0)
			run_record(run, (struct field[]){{"cut_after_bytes", i},
							 {"messages", t->messages},
							 {"decoded", t->decoded},
							 {"kept_decoded", t->kept_decoded},
							 {"characters", t->characters},
							 {"pieces", t->pieces},
							 {"unexplained", t->unexplained},
							 {"kept_wrong_characters", t->kept_wrong},
							 {0}});
	}
}

/* --- Python ---------------------------------------------------------------- */

static void measure_python(struct run *run, const struct python *python)
{
	const char *const arguments[] = {text_format("%lld", (long long)recv_size),
					 text_format("%lld", (long long)size), NULL};
	char printed[64], *line = printed;
	const char *gave, *incremental;

	if (!python_run(python, script, arguments, printed, sizeof(printed), 60000000000))
		return;
	gave = strsep(&line, " ");
	incremental = strsep(&line, "\n");
	if (!incremental)
		errx(EXIT_USAGE, "CPython %s: tcp/text.py printed '%s'", python->name, gave);
	run_record(run,
		   (struct field[]){{"python", .text = python->name},
				    {"decode", .text = gave},
				    {"raised", strcmp(gave, "UnicodeDecodeError") == 0},
				    {"incremental_wrong", strcmp(incremental, "decoded") != 0 ||
								  run_sham(run, "forget")},
				    {0}});
}

/* --- judge --------------------------------------------------------------- */

static void judge(struct run *run)
{
	int64_t enough = (int64_t)run_bound(run, "enough_messages");
	struct share ascii = run_part(run, ASCII, "decoded", "messages");
	struct share others = {0}, between = {0}, kept = {0};
	bool cuts_none = recv_size >= size;

	for (size_t v = LATIN; v < TEXTS; v++) {
		others = share_add(others, run_part(run, v, "decoded", "messages"));
		between = share_add(between,
				    run_part_where(run, v, "decoded", "messages",
						   (struct field[]){{"cut_after_bytes", 0}, {0}}));
		kept = share_add(kept, run_part(run, v, "kept_decoded", "messages"));
	}
	run_judge(
		run, "text-cut",
		cuts_none ? SKIPPED
			  : by_case(always_happens(ascii, enough), always_happens(others, enough)),
		cuts_none
			? MESSAGE("such a recv cuts none of the messages")
			: MESSAGE("each piece alone was decoded of {ascii} ASCII messages; of texts with longer characters of {between} that were cut between two of them, of {inside} that were cut inside one; of {kept} by a decoder that keeps the rest; CPython raised UnicodeDecodeError in {raised} runs"),
		number_share("ascii", ascii), number_share("between", between),
		number_share("inside", share_of(others.k - between.k, others.n - between.n)),
		number_share("kept", kept),
		number_share("raised", run_nonzero(run, PYTHON, "raised")));
}

static void choose(void)
{
	script = python_script("tcp/text.py");
	if (script)
		pythons_n = python_find(python_list, pythons);
}

static const struct experiment about = {
	.name = "text",
	.group = "tcp",
	.order = 425,
	.summary = "Can a message cut at 1,024 bytes be decoded?",
	.intro =
		"Texts of {size_bytes} in UTF-8, received by recv({recv_bytes}); up to 59 letters in front of them move the cut.",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.variants = variants,
	.choose = choose,
	.trials = 3,
	.quick_trials = 1,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	if (pythons_n == 0)
		run_leave_out(run, PYTHON, "no CPython was found, or not its script");
	converter = iconv_open("WCHAR_T", "UTF-8");
	if (converter == (iconv_t)-1) /* NOLINT(performance-no-int-to-ptr): iconv_open(3) */
		return run_skip(run, "iconv knows no UTF-8 here");
	while (run_next(run)) {
		if (run_variant(run) < PYTHON)
			measure_text(run);
		for (size_t i = 0; run_variant(run) == PYTHON && i < pythons_n; i++)
			measure_python(run, &pythons[i]);
	}
	iconv_close(converter);
	return run_end(run);
}
