/* SPDX-License-Identifier: MIT */
/*
 * held.c - preloaded into a server: a thread that adds a socket to epoll holds it for a while after.
 *
 * The kernel holds it for the duration of the call, and a thread that loses its CPU there for as long
 * as that lasts: close(2) in another thread then does not take it from the set.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/epoll.h>
#include <unistd.h>

int epoll_ctl(int epoll, int how, int fd, struct epoll_event *event)
{
	int (*next)(int, int, int, struct epoll_event *);
	int held = how == EPOLL_CTL_ADD ? dup(fd) : -1;
	int result;

	*(void **)&next = dlsym(RTLD_NEXT, "epoll_ctl");
	result = next(epoll, how, fd, event);
	if (held >= 0) {
		usleep(20000);
		close(held);
	}
	return result;
}
