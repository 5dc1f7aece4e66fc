/* SPDX-License-Identifier: MIT */
/*
 * test_net - every kind of pair carries bytes, grants buffers, and tells what they hold.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net.h"
#include "tcpinfo.h"

enum { LENGTH = 1000, WAIT_MS = 30000 };

static void test_every_kind_carries_bytes(void **state)
{
	(void)state;
	for (enum net_kind kind = NET_TCP; kind < NET_KINDS; kind++) {
		struct net_pair pair = net_pair(kind, (struct net_ask){0});
		char sent[LENGTH];
		char received[LENGTH] = {0};

		memset(sent, 'a' + (int)kind, LENGTH);
		assert_int_equal(write(pair.tx, sent, LENGTH), LENGTH);
		assert_int_equal(poll(&(struct pollfd){pair.rx, POLLIN, 0}, 1, WAIT_MS), 1);
		assert_int_equal(net_inq(pair.rx), LENGTH);
		assert_int_equal(read(pair.rx, received, LENGTH), LENGTH);
		assert_memory_equal(sent, received, LENGTH);
		assert_int_equal(net_inq(pair.rx), 0);
		net_close(&pair);
	}
}

static void test_nothing_stays_open(void **state)
{
	int before = dup(STDERR_FILENO); /* the lowest that is free */
	int after;

	(void)state;
	close(before);
	for (enum net_kind kind = NET_TCP; kind < NET_KINDS; kind++) {
		struct net_pair pair = net_pair(kind, (struct net_ask){0});

		net_close(&pair);
	}
	after = dup(STDERR_FILENO);
	close(after);
	assert_int_equal(before, after);
}

/* socket(7): the kernel grants twice what is asked for; a pipe rounds up to a power of two pages. */
static void test_granted_buffers(void **state)
{
	const int64_t ask = 16384;

	(void)state;
	for (enum net_kind kind = NET_TCP; kind < NET_KINDS; kind++) {
		struct net_pair pair =
			net_pair(kind, (struct net_ask){.sndbuf = ask, .rcvbuf = ask});

		assert_in_range(net_sndbuf(pair.tx), ask, 2 * ask);
		if (kind == NET_TCP || kind == NET_UDP)
			assert_int_equal(net_rcvbuf(pair.rx), 2 * ask);
		net_close(&pair);
	}
}

static void test_a_reset_keeps_no_port(void **state)
{
	struct sockaddr_in where;
	int listener = net_listen(1, &where);
	int client = net_connect(&where);
	int accepted = net_accept(listener);
	char byte;

	(void)state;
	assert_int_equal(net_name(accepted).sin_port, where.sin_port);
	assert_int_not_equal(net_name(client).sin_port, where.sin_port);
	net_reset(client);
	assert_int_equal(poll(&(struct pollfd){accepted, POLLIN, 0}, 1, WAIT_MS), 1);
	assert_int_equal(recv(accepted, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	close(accepted);
	close(listener);
}

/* A sender whose receiver does not read: what is held is where the calls say. */
static void test_queues_of_tcp(void **state)
{
	struct net_pair pair =
		net_pair(NET_TCP, (struct net_ask){.sndbuf = 16384, .rcvbuf = 16384});
	char block[4096] = {0};
	int64_t sent = 0;
	ssize_t n;

	(void)state;
	fcntl(pair.tx, F_SETFL, O_NONBLOCK);
	while ((n = write(pair.tx, block, sizeof(block))) > 0)
		sent += n;
	assert_int_equal(errno, EAGAIN);
	/* what arrived and is not acknowledged yet stands in both queues */
	assert_true(net_inq(pair.rx) + net_outq(pair.tx) >= sent);
	assert_in_range(net_outq(pair.tx), 1, sent);
	assert_true(net_memory(pair.tx).send >= net_outq(pair.tx));
	assert_true(net_memory(pair.rx).receive > 0);
	assert_true(tcpinfo_read(pair.tx).busy >= tcpinfo_read(pair.tx).rwnd_limited);
	net_close(&pair);
}

/* connect(2): EINPROGRESS is what a time limit of the socket's ends a blocking connect with. */
static void test_nobody_answers(void **state)
{
	struct sockaddr_in where;
	int fillers[NET_FILLERS];
	int listener = net_silent(&where, fillers);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)state;
	net_set_timeout(fd, SO_SNDTIMEO, 20);
	assert_int_equal(connect(fd, (struct sockaddr *)&where, sizeof(where)), -1);
	assert_int_equal(errno, EINPROGRESS);
	close(fd);
	for (int i = 0; i < NET_FILLERS; i++)
		close(fillers[i]);
	close(listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_kind_carries_bytes),
		cmocka_unit_test(test_nothing_stays_open),
		cmocka_unit_test(test_granted_buffers),
		cmocka_unit_test(test_nobody_answers),
		cmocka_unit_test(test_a_reset_keeps_no_port),
		cmocka_unit_test(test_queues_of_tcp),
	};

	return cmocka_run_group_tests_name("net", tests, NULL, NULL);
}
