/* SPDX-License-Identifier: MIT */
/*
 * test_messages - all messages arrive, also cut in two; each is stamped by the recv that ended it.
 */
#include <sys/socket.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "messages.h"
#include "span.h"

enum { N = 5 };

static void begin(struct messages *m)
{
	messages_begin(m, N);
	for (int64_t i = 0; i < N; i++)
		m->at_ns[i] = i * 1000000;
}

static void test_all_arrive_at_their_times(void **state)
{
	int64_t begin_ns = span_now();
	struct messages m;

	(void)state;
	begin(&m);
	assert_int_equal(messages_recv(&m, MSG_DONTWAIT), -1);
	messages_send(&m);
	while (messages_left(&m))
		assert_true(messages_recv(&m, 0) > 0);
	assert_int_equal(m.got, N);
	assert_int_equal(m.misplaced, 0);
	assert_false(m.ended);
	for (int i = 0; i < N; i++) {
		assert_true(m.came[i].sent_ns >= begin_ns + m.at_ns[i]);
		assert_true(m.late_ns[i] > 0);
	}
	assert_true(messages_late(&m, 1) >= messages_late(&m, 0));
	messages_end(&m);
}

static void test_messages_cut_in_two(void **state)
{
	const struct message sent[] = {{0, 1}, {7, 2}};
	struct messages m;

	(void)state;
	begin(&m);
	assert_int_equal(send(m.fd.tx, sent, 8, 0), 8);
	assert_int_equal(messages_recv(&m, 0), 0);
	assert_int_equal(messages_late(&m, 0.5), 0);
	assert_int_equal(send(m.fd.tx, (const char *)sent + 8, 24, 0), 24);
	while (m.got < 2)
		messages_recv(&m, 0);
	assert_int_equal(m.misplaced, 1);
	assert_memory_equal(m.came, sent, sizeof(sent));
	assert_int_equal(shutdown(m.fd.tx, SHUT_WR), 0);
	assert_int_equal(messages_recv(&m, 0), 0);
	assert_true(m.ended && !messages_left(&m));
	messages_end(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_arrive_at_their_times),
		cmocka_unit_test(test_messages_cut_in_two),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
