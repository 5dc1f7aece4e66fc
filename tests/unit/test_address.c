/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>

#include "address.h"
#include "child.h"

static void assert_found(const char *host, int64_t port, const char *text)
{
	char found[ADDRESS_TEXT];
	struct address address = address_find("--host", host, port);

	assert_string_equal(address_text(&address, found), text);
}

static void test_hosts(void **state)
{
	(void)state;
	assert_found("127.0.0.1", 80, "127.0.0.1:80");
	assert_found("127.1", 65535, "127.0.0.1:65535");
	assert_found("localhost", 80, "127.0.0.1:80"); /* not ::1, which it is as well */
	assert_found("", 80, "0.0.0.0:80");
	assert_found("::1", 80, "[::1]:80");
	assert_found("::", 0, "[::]:0");
	assert_found("::ffff:10.0.0.1", 80, "[::ffff:10.0.0.1]:80");
	assert_found("2001:db8:1111:2222:3333:4444:5555:6666", 65535,
		     "[2001:db8:1111:2222:3333:4444:5555:6666]:65535");
}

static int find_wrong(const void *host)
{
	address_find("--host", host, 80);
	return 0;
}

static void test_no_host(void **state)
{
	static const char *const wrong[] = {"256.1.1.1", ":::", "[::1]", "no such host",
					    "1.2.3.4:80"};
	struct child child;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		child_run(&child, find_wrong, wrong[i]);
		assert_error(&child, "--host: '");
		assert_holds_text(child.err, wrong[i]);
	}
}

static void test_one_text(void **state)
{
	static const char *const texts[][2] = {{"127.0.0.1:80", "127.0.0.1:80"},
					       {"localhost:0", "127.0.0.1:0"},
					       {"[::1]:65535", "[::1]:65535"},
					       {":7", "0.0.0.0:7"}};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct address address = address_parse("--at", texts[i][0]);
		char text[ADDRESS_TEXT];

		assert_string_equal(address_text(&address, text), texts[i][1]);
	}
}

static int parse_wrong(const void *text)
{
	address_parse("--at", text);
	return 0;
}

static void test_what_is_no_address(void **state)
{
	static const char *const wrong[] = {"",
					    "80",
					    "127.0.0.1",
					    "127.0.0.1:",
					    "127.0.0.1:x",
					    "127.0.0.1:65536",
					    "::1:80",
					    "[::1]",

					    "127.0.0.1:-1",

					    "127.0.0.1:80 ",
					    "127.0.0.1:99999999999999999999"};
	struct child child;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		child_run(&child, parse_wrong, wrong[i]);
		assert_error(&child, "--at: '");
		assert_holds_text(child.err, wrong[i]);
	}
}

static void test_of_a_socket(void **state)
{
	char text[ADDRESS_TEXT];
	struct address address = address_find("--host", "127.0.0.1", 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	assert_int_equal(bind(fd, &address.any, address.size), 0);
	address = address_of(fd);
	assert_int_equal(address.size, sizeof(struct sockaddr_in));
	assert_int_not_equal(ntohs(address.v4.sin_port), 0);
	assert_memory_equal(address_text(&address, text), "127.0.0.1:", 10);
	close(fd);
}

/* Two sockets of a family have one address and different ports; so has one its own name twice. */
static void test_loopback(void **state)
{
	const int families[] = {AF_INET, AF_INET6};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct address one = address_loopback(families[i]), other = one, again;
		int fds[2];

		if (families[i] == AF_INET6 && address_no_v6())
			continue;
		fds[0] = address_bind(SOCK_STREAM, &one);
		fds[1] = address_bind(SOCK_STREAM, &other);
		again = address_of(fds[0]);
		assert_int_not_equal(address_port(&one), 0);
		assert_int_not_equal(address_port(&one), address_port(&other));
		assert_int_equal(address_compare(&one, &again), 0);
		assert_int_equal(address_compare(&one, &other) > 0,
				 address_compare(&other, &one) < 0);
		close(fds[0]);
		close(fds[1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hosts),       cmocka_unit_test(test_no_host),
		cmocka_unit_test(test_one_text),    cmocka_unit_test(test_what_is_no_address),
		cmocka_unit_test(test_of_a_socket), cmocka_unit_test(test_loopback),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
