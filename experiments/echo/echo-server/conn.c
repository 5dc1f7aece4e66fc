/* SPDX-License-Identifier: MIT */
#include "conn.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "check.h"
#include "conn_log.h"
#include "net.h"
#include "span.h"

enum {
	READ_SIZE = 64 << 10,      /* of one read, and so the most that waits for a peer */
	LINE_MAX_BYTES = 64 << 10, /* of a line to reverse */
	TURNS = 8,                 /* full reads before other connections are served */
	WORK_US = 1000000,         /* the most of a message of other work */
};

/* Bytes that wait. */
struct rest {
	uint32_t length, at;
	char bytes[];
};

struct conn_rules conn_rules;

/*
 * A thread's buffers.  On the heap: glibc clears thread-local arrays when a thread starts, and so
 * pays for every page of them.
 */
struct buffers {
	char received[READ_SIZE];
	char reversed[READ_SIZE + LINE_MAX_BYTES];
};

static _Thread_local struct buffers *own;
static pthread_key_t free_at_exit; /* of the thread: own */

/* NULL = there is no memory. */
static struct buffers *buffers_of_thread(void)
{
	if (!own) {
		own = net_buffer(sizeof(*own));
		if (own && pthread_setspecific(free_at_exit, own) != 0) {
			free(own);
			own = NULL;
		}
	}
	return own;
}

void conn_set_rules(const struct conn_rules *rules)
{
	conn_rules = *rules;
	check(pthread_key_create(&free_at_exit, free), "pthread_key_create");
}

/* --- bytes that wait --------------------------------------------------------- */

/* Appends; *rest NULL at first.  False if there is no memory. */
static bool keep(struct rest **rest, const char *bytes, size_t length)
{
	uint32_t before = *rest ? (*rest)->length : 0;
	struct rest *grown = realloc(*rest, sizeof(**rest) + before + length);

	if (!grown)
		return false;
	if (!*rest)
		grown->at = 0;
	grown->length = before + (uint32_t)length;
	memcpy(grown->bytes + before, bytes, length);
	*rest = grown;
	return true;
}

static void drop(struct rest **rest)
{
	free(*rest);
	*rest = NULL;
}

void conn_drop(struct conn *conn)
{
	drop(&conn->unsent);
	drop(&conn->line);
}

uint32_t conn_now_ms(void)
{
	return (uint32_t)(clock_ns(CLOCK_MONOTONIC_COARSE) / 1000000);
}

/* The connection made progress. */
static void touch(struct conn *conn)
{
	if (conn_rules.idle_ms)
		atomic_store_explicit(&conn->seen_ms, conn_now_ms(), memory_order_relaxed);
}

/* --- the answer -------------------------------------------------------------- */

/* The bytes of a line backwards, but those of a code point forwards. */
static void reverse_line(const char *line, size_t length, char *out)
{
	for (size_t end = length; end > 0;) {
		size_t begin = end - 1;

		while (begin > 0 && ((unsigned char)line[begin] & 0xc0) == 0x80 && end - begin < 4)
			begin--;
		memcpy(out, line + begin, end - begin);
		out += end - begin;
		end = begin;
	}
}

/* The same, but a carriage return stays at the end; returns the length. */
static size_t reverse_whole(const char *line, size_t length, char *out)
{
	bool cr = length > 0 && line[length - 1] == '\r';

	reverse_line(line, length - cr, out);
	if (cr)
		out[length - 1] = '\r';
	return length;
}

/* The same of the line that was kept. */
static size_t reverse_kept(struct conn *conn, char *out)
{
	size_t length = reverse_whole(conn->line->bytes, conn->line->length, out);

	drop(&conn->line);
	return length;
}

/* How many bytes at the end are the beginning of a code point. */
static size_t cut_short(const char *bytes, size_t length)
{
	size_t have = 1;
	unsigned char first;

	while (have < 4 && have < length && ((unsigned char)bytes[length - have] & 0xc0) == 0x80)
		have++;
	first = length > 0 ? (unsigned char)bytes[length - have] : 0;
	return have < (first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 0) ? have : 0;
}

/* The code points that were kept, reversed; the beginning of one is still kept. */
static size_t reverse_piece(struct conn *conn, char *out)
{
	struct rest *line = conn->line;
	uint32_t cut = (uint32_t)cut_short(line->bytes, line->length);
	size_t length = line->length - cut;

	reverse_line(line->bytes, length, out);
	memmove(line->bytes, line->bytes + length, cut);
	line->length = cut;
	if (cut == 0)
		drop(&conn->line);
	return length;
}

static struct conn_answer too_long(struct conn *conn)
{
	static const char message[] = "error: a line is longer than 65,536 bytes\n";

	conn->stage = CONN_ENDING;
	return (struct conn_answer){message, sizeof(message) - 1};
}

/* All complete lines reversed; what follows the last newline is kept until its own arrives. */
static struct conn_answer reversed(struct conn *conn, const char *bytes, size_t length)
{
	static const struct conn_answer no_memory;
	char *lines = buffers_of_thread() ? own->reversed : NULL;
	struct conn_answer answer = {lines, 0};
	const char *end = bytes + length;

	if (!lines)
		return no_memory;
	if (length == 0 && conn->line) /* the last line has no newline */
		answer.length = reverse_kept(conn, lines);
	while (bytes < end) {
		const char *newline = memchr(bytes, '\n', (size_t)(end - bytes));
		size_t part = (size_t)((newline ? newline : end) - bytes);
		char *out = lines + answer.length;

		if ((conn->line ? conn->line->length : 0) + part > LINE_MAX_BYTES)
			return too_long(conn);
		if ((conn->line || !newline) && !keep(&conn->line, bytes, part))
			return no_memory;
		if (!newline) {
			if (conn_rules.pieces)
				answer.length += reverse_piece(conn, out);
			break;
		}
		answer.length +=
			conn->line ? reverse_kept(conn, out) : reverse_whole(bytes, part, out);
		lines[answer.length++] = '\n';
		bytes = newline + 1;
	}
	return answer;
}

/* So many microseconds of CPU time as the message says, a second at most. */
static void compute(const char *bytes, size_t length)
{
	int64_t until_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	int64_t us = 0;

	for (size_t i = 0; i < length && bytes[i] >= '0' && bytes[i] <= '9' && us < WORK_US; i++)
		us = 10 * us + bytes[i] - '0';
	until_ns += (us < WORK_US ? us : WORK_US) * 1000;
	while (clock_ns(CLOCK_THREAD_CPUTIME_ID) < until_ns)
		;
}

struct conn_answer conn_answer(struct conn *conn, const char *bytes, size_t length)
{
	bool open = conn->stage == CONN_OPEN;

	if (length == 0)
		conn->stage = CONN_EOF;
	if (!open)
		return (struct conn_answer){"", 0};
	touch(conn);
	if (conn->works)
		compute(bytes, length);
	if (conn_rules.verbose && length)
		conn_log_received(conn->fd, bytes, length);
	if (conn_rules.reverse)
		return reversed(conn, bytes, length);
	return (struct conn_answer){bytes, length};
}

bool conn_greet(struct conn *conn)
{
	conn->stage = CONN_ENDING;
	conn->watched = CONN_WRITE;
	return keep(&conn->unsent, conn_rules.greeting, strlen(conn_rules.greeting));
}

bool conn_hold(struct conn *conn, struct conn_answer answer)
{
	return keep(&conn->unsent, answer.bytes, answer.length);
}

struct conn_answer conn_held(const struct conn *conn)
{
	const struct rest *rest = conn->unsent;

	return rest ? (struct conn_answer){rest->bytes, rest->length} : (struct conn_answer){"", 0};
}

void conn_drop_held(struct conn *conn)
{
	drop(&conn->unsent);
}

bool conn_all_sent(struct conn *conn)
{
	if (conn->stage != CONN_ENDING || conn->discards)
		return conn->stage == CONN_EOF;
	/* in this order: the signal thread sees discards only together with the time */
	atomic_store(&conn->seen_ms, conn_now_ms());
	atomic_store(&conn->discards, true);
	shutdown(conn->fd, SHUT_WR);
	return false;
}

/* --- a step ------------------------------------------------------------------ */

/*
 * Sends; what does not fit into the send buffer is kept.  False if the connection is broken, or
 * there is no memory.
 */
static bool send_or_keep(struct conn *conn, const char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t n = send(conn->fd, bytes, length, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			return false;
		if (n < 0)
			return keep(&conn->unsent, bytes, length);
		bytes += n;
		length -= (size_t)n;
	}
	return true;
}

/* Sends what was kept; true when all was sent. */
static bool flush(struct conn *conn, bool *broken)
{
	struct rest *rest = conn->unsent;

	while (rest && rest->at < rest->length) {
		ssize_t n = send(conn->fd, rest->bytes + rest->at, rest->length - rest->at,
				 MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			*broken = errno != EAGAIN;
			return false;
		}
		touch(conn);
		rest->at += (uint32_t)n;
	}
	drop(&conn->unsent);
	return true;
}

/* Answers; false if the connection is to be closed. */
static bool answer(struct conn *conn, const char *bytes, size_t length)
{
	struct conn_answer answer = conn_answer(conn, bytes, length);

	return answer.bytes && send_or_keep(conn, answer.bytes, answer.length);
}

enum conn_want conn_step(struct conn *conn)
{
	bool broken = false;

	if (!buffers_of_thread())
		return CONN_CLOSE;
	for (int turn = 0; turn < TURNS; turn++) {
		ssize_t n;

		if (conn->unsent && !flush(conn, &broken))
			return broken ? CONN_CLOSE : CONN_WRITE;
		if (conn->stage != CONN_OPEN && conn_all_sent(conn))
			return CONN_CLOSE;
		n = recv(conn->fd, own->received, READ_SIZE, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? CONN_READ : CONN_CLOSE;
		if (!answer(conn, own->received, (size_t)n))
			return CONN_CLOSE;
		if (n > 0 && n < READ_SIZE && !conn->unsent && conn->stage == CONN_OPEN)
			return CONN_READ; /* that was all there was */
	}
	if (conn->unsent)
		return CONN_WRITE;
	return conn->stage == CONN_EOF ? CONN_CLOSE : CONN_MORE;
}
