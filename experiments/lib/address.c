/* SPDX-License-Identifier: MIT */
#include "address.h"

#include <err.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "check.h"

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

struct address address_of(int fd)
{
	struct address address = address_empty();

	check_fd(getsockname(fd, &address.any, &address.size), "getsockname");
	return address;
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
