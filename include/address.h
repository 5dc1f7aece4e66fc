/* SPDX-License-Identifier: MIT */
/*
 * address.h - where a server is: an address of IPv4 or IPv6, and a port.
 */
#ifndef ADDRESS_H
#define ADDRESS_H

#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

/* Bytes of one as text, its 0 included, and of its parts. */
enum { ADDRESS_HOST = 65, ADDRESS_PORT = 6, ADDRESS_TEXT = ADDRESS_HOST + ADDRESS_PORT + 3 };

struct address {
	socklen_t size; /* of the one in use, for bind(2) and its like */
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	};
};

/* To be filled by accept(2) and its like. */
struct address address_empty(void);

/*
 * Where a host is: a number, or a name, of which the IPv4 address is taken where it has both, so that
 * localhost is 127.0.0.1.  "" is every address of IPv4, as for bind() in Python; "::" every one of both.
 * Ends the process with status 2 and one line that names the option if there is no such host.
 */
struct address address_find(const char *option, const char *host, int64_t port);

/*
 * The same from one text: "192.0.2.1:80", "name:80", "[::1]:80", ":80".  Ends the process likewise if it is
 * not one of these.
 */
struct address address_parse(const char *option, const char *text);

/* The address that a socket has here (getsockname). */
struct address address_of(int fd);

/* Loopback of AF_INET or AF_INET6, without a port. */
struct address address_loopback(int family);

/* Its port, in network byte order. */
in_port_t address_port(const struct address *address);

/* Less than 0, 0 or more, for an order of addresses and ports: 0 for the same. */
int address_compare(const struct address *a, const struct address *b);

/* A fresh socket of an address's family; the same, bound there, to a free port if it has none: *where is which. */
int address_socket(int type, const struct address *of);
int address_bind(int type, struct address *where);

/* Why this machine cannot bind ::1; NULL = it can. */
const char *address_no_v6(void);

/* "127.0.0.1" and "80", "::1" and "80". */
void address_parts(const struct address *address, char host[ADDRESS_HOST], char port[ADDRESS_PORT]);

/* "127.0.0.1:80", "[::1]:80"; into text, which it returns. */
const char *address_text(const struct address *address, char text[ADDRESS_TEXT]);

#endif
