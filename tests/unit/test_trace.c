/* SPDX-License-Identifier: MIT */
/*
 * test_trace - a connection whose receiver sleeps: what the trace says of the send that blocked.
 */
#include <locale.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net.h"
#include "trace.h"

enum { CHUNK = 16 << 10, CHUNKS = 64, NAP_MS = 200, SIZE = 4096 };

/* Sleeps, then reads until the end. */
static void *read_late(void *argument)
{
	struct timespec nap = {.tv_nsec = NAP_MS * 1000000};
	int fd = *(int *)argument;
	char buffer[CHUNK];

	nanosleep(&nap, NULL);
	while (read(fd, buffer, sizeof(buffer)) > 0)
		;
	return NULL;
}

/* Sends CHUNKS chunks into small buffers while nobody reads for NAP_MS. */
static void trace_a_stall(struct trace *trace)
{
	static const char chunk[CHUNK];
	struct net_pair fd = net_pair(NET_TCP, (struct net_ask){CHUNK, CHUNK, NULL});
	pthread_t reader;

	trace_begin(trace, fd, 1000000);
	assert_int_equal(pthread_create(&reader, NULL, read_late, &fd.rx), 0);
	for (int i = 0; i < CHUNKS; i++)
		assert_int_equal(trace_send(trace, chunk, CHUNK), CHUNK);
	shutdown(fd.tx, SHUT_WR);
	assert_int_equal(pthread_join(reader, NULL), 0);
	trace_end(trace);
	net_close(&fd);
}

static void test_calls_add_up(void **state)
{
	struct trace trace;

	(void)state;
	trace_a_stall(&trace);
	assert_int_equal(trace.calls_n, CHUNKS);
	assert_int_equal(atomic_load(&trace.sent), CHUNKS * CHUNK);
	for (size_t i = 0; i < trace.calls_n; i++) {
		assert_int_equal(trace.calls[i].sent_bytes, (int64_t)(i + 1) * CHUNK);
		assert_true(trace.calls[i].elapsed_ns >= 0);
		assert_int_equal(trace.calls[i].blocked, trace.calls[i].cause != CAUSE_NONE);
		if (i > 0)
			assert_true(trace.calls[i].begin_ns >= trace.calls[i - 1].begin_ns);
	}
	trace_free(&trace);
	assert_null(trace.calls);
}

static void test_the_stall_has_its_cause(void **state)
{
	struct trace trace;
	struct trace_sum sum;
	int64_t by_cause = 0;

	(void)state;
	trace_a_stall(&trace);
	sum = trace_sum(&trace);
	for (int cause = 0; cause < CAUSES; cause++)
		by_cause += sum.cause_ns[cause];
	assert_true(sum.blocked_calls > 0);
	assert_int_equal(by_cause, sum.blocked_ns);
	assert_int_equal(sum.cause_ns[CAUSE_NONE], 0);
	assert_true(sum.cause_ns[CAUSE_PEER] > 0);
	assert_true(sum.longest_ns <= sum.blocked_ns);
	assert_true(sum.longest_wmem > 0);
	trace_free(&trace);
}

static void test_looks_are_in_order(void **state)
{
	struct trace trace;
	int64_t deepest = 0;

	(void)state;
	trace_a_stall(&trace);
	assert_true(trace.looks_n > 1);
	for (size_t i = 0; i < trace.looks_n; i++) {
		if (i > 0)
			assert_true(trace.looks[i].at_ns > trace.looks[i - 1].at_ns);
		if (trace.looks[i].outq > deepest)
			deepest = trace.looks[i].outq;
	}
	assert_true(deepest > 0);
	trace_free(&trace);
}

static void test_drawing_fits(void **state)
{
	struct trace trace;
	char text[SIZE] = "";
	FILE *out = fmemopen(text, sizeof(text), "w");
	int lines = 0;

	(void)state;
	assert_non_null(out);
	assert_non_null(setlocale(LC_CTYPE, "C"));
	trace_a_stall(&trace);
	trace_draw(&trace, out, "title");
	fclose(out);
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"), lines++)
		assert_true(strlen(line) <= 80);
	assert_int_equal(lines, 4);
	trace_free(&trace);
}

static void test_nothing_to_draw(void **state)
{
	struct trace trace = {0};
	char text[SIZE] = "";
	FILE *out = fmemopen(text, sizeof(text), "w");

	(void)state;
	assert_non_null(out);
	trace_draw(&trace, out, "title");
	fclose(out);
	assert_string_equal(text, "");
	assert_int_equal(trace_sum(&trace).blocked_calls, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls_add_up),
		cmocka_unit_test(test_the_stall_has_its_cause),
		cmocka_unit_test(test_looks_are_in_order),
		cmocka_unit_test(test_drawing_fits),
		cmocka_unit_test(test_nothing_to_draw),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
