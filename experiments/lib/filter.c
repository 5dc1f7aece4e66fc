/* SPDX-License-Identifier: MIT */
#include "filter.h"

#include <err.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net.h"

static bool may_attach(int fd, struct sock_filter *code, size_t length)
{
	struct sock_fprog program = {(unsigned short)length, code};

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == 0)
		return true;
	if (errno != EPERM && errno != EACCES)
		err(2, "SO_ATTACH_FILTER");
	return false;
}

void filter_attach(int fd, struct sock_filter *code, size_t length)
{
	if (!may_attach(fd, code, length))
		err(2, "SO_ATTACH_FILTER");
}

int filter_socket(const struct filter_place *place)
{
	return place->own ? link_socket(place->own, LINK_RX, SOCK_STREAM) : net_socket(SOCK_STREAM);
}

static bool may_filter(const struct filter_place *place)
{
	struct sock_filter pass = BPF_STMT(BPF_RET | BPF_K, UINT32_MAX);
	int fd = filter_socket(place);
	bool may = may_attach(fd, &pass, 1);

	close(fd);
	return may;
}

bool filter_allowed(void)
{
	return may_filter(&(struct filter_place){0});
}

struct filter_place filter_find(void)
{
	struct filter_place place = {0};

	if (filter_allowed())
		return place;
	place.own = link_open((struct link_ask){0}, &place.refused);
	if (place.own && !may_filter(&place))
		place.refused = "nor in a network namespace of one's own";
	return place;
}

void filter_leave(const struct filter_place *place)
{
	if (place->own)
		link_close(place->own);
}
