/* SPDX-License-Identifier: MIT */
#include "listener.h"

#include <sys/socket.h>

#include "check.h"

void listener_share(int fd)
{
	const int on = 1;

	check_fd(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), "SO_REUSEPORT");
}

int listener_open(int type, const struct address *address, int backlog, bool share)
{
	char text[ADDRESS_TEXT];
	const int on = 1, off = 0;
	int fd = socket(address->any.sa_family, type | SOCK_CLOEXEC, 0);

	if (fd < 0) /* a machine without IPv6 */
		err(2, "%s", address_text(address, text));
	if (address->any.sa_family == AF_INET6) /* whatever net.ipv6.bindv6only says */
		check_fd(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)),
			 "IPV6_V6ONLY");

	/*
	 * Connections of an earlier server in TIME_WAIT do not keep the port.  There are none of
	 * datagrams, and for them the option would let another server take the port over.
	 */
	if (type == SOCK_STREAM)
		check_fd(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), "SO_REUSEADDR");
	if (share)
		listener_share(fd);
	if (bind(fd, &address->any, address->size) != 0 ||
	    (type == SOCK_STREAM && listen(fd, backlog) != 0))
		err(2, "%s", address_text(address, text));
	return fd;
}
