/* SPDX-License-Identifier: MIT */
#include "model.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>

#include "check.h"
#include "conn.h"
#include "conn_table.h"
#include "listener.h"

enum { STACK_BYTES = 512 << 10 }; /* of a thread; pages that are never used cost nothing */

static struct model *models;

void model_add(struct model *model)
{
	struct model **at = &models;

	while (*at && strcmp((*at)->name, model->name) < 0)
		at = &(*at)->next;
	model->next = *at;
	*at = model;
}

const struct model *model_first(void)
{
	return models;
}

int model_workers(const struct server *server, int otherwise)
{
	return server->workers ? (int)server->workers : otherwise;
}

int model_cpus(void)
{
	cpu_set_t cpus;

	check_fd(sched_getaffinity(0, sizeof(cpus), &cpus), "sched_getaffinity");
	return CPU_COUNT(&cpus);
}

int model_thread(void *(*work)(void *), void *argument)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int error;

	check(pthread_attr_init(&attributes), "pthread_attr_init");
	check(pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED), "detached");
	check(pthread_attr_setstacksize(&attributes, STACK_BYTES), "pthread_attr_setstacksize");
	error = pthread_create(&thread, &attributes, work, argument);
	pthread_attr_destroy(&attributes);
	return error;
}

void *model_serve_blocking(void *argument)
{
	struct conn *conn = argument;

	while (conn_step(conn) != CONN_CLOSE)
		;
	conn_close(conn);
	return NULL;
}

int model_listen_too(const struct server *server)
{
	struct address address = address_of(server->listener);
	int fd = listener_open(SOCK_STREAM, &address, server->backlog, true);

	conn_listens(fd);
	return fd;
}

void model_nonblocking(int fd)
{
	check_fd(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), "O_NONBLOCK");
}
