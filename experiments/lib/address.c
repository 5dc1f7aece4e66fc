/* SPDX-License-Identifier: MIT */
#include "address.h"

#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "text.h"

enum { NAME = 256 }; /* bytes of a host's name; DNS has no longer ones */

struct address address_empty(void)
{
	return (struct address){.size = sizeof(struct sockaddr_in6)};
}

struct address address_find(const char *option, const char *host, int64_t port)
{
	const struct addrinfo hints = {.ai_socktype =
					       SOCK_STREAM}; /* else each comes once a type */
	struct address address = {0};
	struct addrinfo *found;
	const struct addrinfo *chosen;
	char service[8];
	int error;

	snprintf(service, sizeof(service), "%d", (int)port);
	error = getaddrinfo(*host ? host : "0.0.0.0", service, &hints, &found);
	if (error || !found)
		errx(2, "%s: '%s': %s", option, host, gai_strerror(error));
	chosen = found;
	for (const struct addrinfo *one = found->ai_next; one && chosen->ai_family != AF_INET;
	     one = one->ai_next)
		if (one->ai_family == AF_INET)
			chosen = one;
	address.size = chosen->ai_addrlen;
	memcpy(&address.any, chosen->ai_addr, chosen->ai_addrlen);
	freeaddrinfo(found);
	return address;
}

struct address address_parse(const char *option, const char *text)
{
	const char *colon = strrchr(text, ':');
	size_t length = colon ? (size_t)(colon - text) : 0;
	bool brackets = length > 1 && text[0] == '[' && colon[-1] == ']';
	char host[NAME] = "";
	char *end = NULL;
	unsigned long port = 0;

	if (colon && isdigit((unsigned char)colon[1]))
		port = strtoul(colon + 1, &end, 10);
	if (!end || *end || port > UINT16_MAX || length >= sizeof(host))
		errx(2, "%s: '%s' is not HOST:PORT", option, text);
	memcpy(host, text + brackets, length - 2 * (size_t)brackets);
	if (!brackets && strchr(host, ':'))
		errx(2, "%s: '%s': an address of IPv6 is written [ADDRESS]:PORT", option, text);
	return address_find(option, host, (int64_t)port);
}

struct address address_of(int fd)
{
	struct address address = address_empty();

	check_fd(getsockname(fd, &address.any, &address.size), "getsockname");
	return address;
}

struct address address_loopback(int family)
{
	struct address address = {.size = sizeof(address.v4)};

	if (family == AF_INET6) {
		address.size = sizeof(address.v6);
		address.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6,
						   .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	} else {
		address.v4 = (struct sockaddr_in){.sin_family = AF_INET,
						  .sin_addr = {htonl(INADDR_LOOPBACK)}};
	}
	return address;
}

in_port_t address_port(const struct address *address)
{
	return address->any.sa_family == AF_INET6 ? address->v6.sin6_port : address->v4.sin_port;
}

int address_compare(const struct address *a, const struct address *b)
{
	return a->size != b->size ? (a->size > b->size) - (a->size < b->size)
				  : memcmp(&a->any, &b->any, a->size);
}

int address_socket(int type, const struct address *of)
{
	return check_fd(socket(of->any.sa_family, type | SOCK_CLOEXEC, 0), "socket");
}

int address_bind(int type, struct address *where)
{
	int fd = address_socket(type, where);

	check_fd(bind(fd, &where->any, where->size), "bind");
	*where = address_of(fd);
	return fd;
}

const char *address_no_v6(void)
{
	static char why[64];
	struct address any = address_loopback(AF_INET6);
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool can = fd >= 0 && bind(fd, &any.any, any.size) == 0;
	int error = errno;

	if (fd >= 0)
		close(fd);
	snprintf(why, sizeof(why), "this machine has no IPv6: %s", text_errno(error));
	return can ? NULL : why;
}

void address_parts(const struct address *address, char host[ADDRESS_HOST], char port[ADDRESS_PORT])
{
	if (getnameinfo(&address->any, address->size, host, ADDRESS_HOST, port, ADDRESS_PORT,
			NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
		snprintf(host, ADDRESS_HOST, "?");
		snprintf(port, ADDRESS_PORT, "?");
	}
}

const char *address_text(const struct address *address, char text[ADDRESS_TEXT])
{
	char host[ADDRESS_HOST];
	char port[ADDRESS_PORT];

	address_parts(address, host, port);
	snprintf(text, ADDRESS_TEXT, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
	return text;
}
