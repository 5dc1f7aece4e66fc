/* SPDX-License-Identifier: MIT */
/* needs: liburing */
/*
 * io_uring - one thread that does not ask what is ready, but orders what is to be done: the kernel
 * receives and sends by itself, and says when it has.  One system call hands over all new orders
 * and waits for results.
 *
 * A receive order takes one of the buffers provided to the kernel only when there is something to
 * put into it, so that an idle connection holds none.  A send is linked to the next receive: the
 * kernel begins the one when the other has sent everything, so a peer that does not read is not
 * read from.
 */
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "../conn.h"
#include "../model.h"

enum {
	ORDERS = 4096,
	BUFFER = 4096,         /* bytes */
	BUFFERS_MAX = 1 << 15, /* the most a ring may have */
	BUFFERS = 512,         /* at first, and by which they grow when all are in use */
	GROUP = 0,
	NO_BUFFER = 0xffff,
};

enum order { DOOR, RECEIVE, SEND };

static struct io_uring ring;
static struct io_uring_buf_ring *provided;
static char *buffers;
static unsigned int buffers_n;
static int64_t open_conns;
static bool listening;

/* --- buffers ------------------------------------------------------------------ */

static char *buffer_at(unsigned int id)
{
	return buffers + (size_t)id * BUFFER;
}

static void provide(unsigned int id)
{
	io_uring_buf_ring_add(provided, buffer_at(id), BUFFER, (unsigned short)id,
			      io_uring_buf_ring_mask(BUFFERS_MAX), 0);
	io_uring_buf_ring_advance(provided, 1);
}

/* More of them: each connection uses at most one, so there are as many as descriptors. */
static void provide_more(void)
{
	for (int i = 0; i < BUFFERS && buffers_n < BUFFERS_MAX - 1; i++)
		provide(buffers_n++);
}

/* --- orders ------------------------------------------------------------------- */

/* Room for two: linked orders must go to the kernel together. */
static void make_room(void)
{
	if (io_uring_sq_space_left(&ring) < 2)
		io_uring_submit(&ring);
}

static void label(struct io_uring_sqe *sqe, enum order what, int fd, unsigned int buffer)
{
	io_uring_sqe_set_data64(sqe, (uint64_t)what << 56 | (uint64_t)buffer << 32 | (uint32_t)fd);
}

static void order_door(int listener)
{
	struct io_uring_sqe *sqe;

	make_room();
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_poll_multishot(sqe, listener, POLLIN);
	label(sqe, DOOR, listener, NO_BUFFER);
}

/* `later`: there is nothing to be had yet, so the kernel need not try first. */
static void order_receive(struct conn *conn, bool later)
{
	struct io_uring_sqe *sqe;

	make_room();
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_recv(sqe, conn->fd, NULL, BUFFER, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = GROUP;
	sqe->ioprio |= later ? IORING_RECVSEND_POLL_FIRST : 0;
	label(sqe, RECEIVE, conn->fd, NO_BUFFER);
	conn->watched++;
}

/* All of it, however slow the peer; then the next receive, unless it was the last answer. */
static void order_send(struct conn *conn, struct conn_answer answer, unsigned int buffer)
{
	struct io_uring_sqe *sqe;

	make_room();
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_send(sqe, conn->fd, answer.bytes, answer.length, MSG_WAITALL | MSG_NOSIGNAL);
	sqe->flags |= answer.last ? 0 : IOSQE_IO_LINK;
	label(sqe, SEND, conn->fd, buffer);
	conn->watched++;
	if (!answer.last)
		order_receive(conn, true);
}

/* --- results ------------------------------------------------------------------ */

static void end(struct conn *conn)
{
	conn->ended = true;
	if (conn->watched > 0)
		return; /* the kernel still has orders of it */
	conn_close(conn);
	open_conns--;
}

static void admit(int listener, unsigned int flags)
{
	struct conn *conn;

	while ((conn = conn_accept(listener, SOCK_NONBLOCK)) != NULL) {
		conn->watched = 0; /* how many orders of it are under way */
		open_conns++;
		order_receive(conn, true);
	}
	listening = errno != ESHUTDOWN;
	if (listening && !(flags & IORING_CQE_F_MORE))
		order_door(listener);
}

static void received(struct conn *conn, int result, unsigned int flags)
{
	unsigned int id =
		flags & IORING_CQE_F_BUFFER ? flags >> IORING_CQE_BUFFER_SHIFT : NO_BUFFER;
	const char *bytes = id == NO_BUFFER ? "" : buffer_at(id);
	struct conn_answer answer = {0};

	conn->watched--;
	if (result == -ENOBUFS && !conn->ended) {
		provide_more();
		order_receive(conn, false);
		return;
	}
	if (result >= 0 && !conn->ended)
		answer = conn_answer(conn, bytes, (size_t)result);
	if (answer.length && answer.bytes != bytes) /* it was made, not received */
		answer.bytes = conn_hold(conn, answer);
	if (id != NO_BUFFER && (!answer.length || answer.bytes != bytes)) {
		provide(id);
		id = NO_BUFFER;
	}
	if (answer.length)
		order_send(conn, answer, id);
	else if (result > 0 && !conn->ended)
		order_receive(conn, false);
	if (result <= 0 || answer.last)
		end(conn);
}

static void sent(struct conn *conn, int result, unsigned int buffer)
{
	conn->watched--;
	if (buffer != NO_BUFFER)
		provide(buffer);
	else
		conn_let_go(conn);
	if (result < 0 || conn->ended)
		end(conn); /* an order that was linked comes back as cancelled */
}

static void take(const struct io_uring_cqe *cqe)
{
	int fd = (int)(uint32_t)cqe->user_data;

	switch ((enum order)(cqe->user_data >> 56)) {
	case DOOR:
		admit(fd, cqe->flags);
		break;
	case RECEIVE:
		received(conn_of(fd), cqe->res, cqe->flags);
		break;
	case SEND:
		sent(conn_of(fd), cqe->res, (cqe->user_data >> 32) & NO_BUFFER);
		break;
	}
}

static int run(void)
{
	while (listening || open_conns) {
		int error = io_uring_submit_and_wait(&ring, 1);
		struct io_uring_cqe *cqe;
		unsigned int head;
		unsigned int n = 0;

		if (error < 0 && error != -EINTR && error != -EBUSY && error != -EAGAIN)
			return -error;
		io_uring_for_each_cqe(&ring, head, cqe)
		{
			take(cqe);
			n++;
		}
		io_uring_cq_advance(&ring, n);
	}
	return 0;
}

/* --- the ring ----------------------------------------------------------------- */

/* A ring for one thread, which does the work when it asks for results, where the kernel can. */
static int make_ring(struct io_uring *made, unsigned int orders)
{
	int error = io_uring_queue_init(orders, made,
					IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);

	return error == -EINVAL ? io_uring_queue_init(orders, made, 0) : error;
}

/* Lends the kernel a ring of buffers; 0 or a negative error number. */
static int lend_buffers(void)
{
	struct io_uring_buf_reg lent = {.ring_entries = BUFFERS_MAX, .bgid = GROUP};
	size_t ring_bytes = BUFFERS_MAX * sizeof(struct io_uring_buf);
	size_t bytes = (size_t)BUFFERS_MAX * BUFFER;
	char *memory = mmap(NULL, ring_bytes + bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int error;

	if (memory == MAP_FAILED)
		return -errno;
	lent.ring_addr = (uintptr_t)memory;
	error = io_uring_register_buf_ring(&ring, &lent, 0);
	if (error)
		return error;
	provided = (struct io_uring_buf_ring *)(void *)memory;
	buffers = memory + ring_bytes;
	io_uring_buf_ring_init(provided);
	provide_more();
	return 0;
}

static int serve(const struct server *server)
{
	int error = make_ring(&ring, ORDERS);

	if (!error)
		error = lend_buffers();
	if (error)
		return -error;
	model_nonblocking(server->listener);
	listening = true;
	order_door(server->listener);
	error = run();
	io_uring_queue_exit(&ring);
	return error;
}

static const char *missing(void)
{
	struct io_uring_buf_reg lent = {.ring_entries = 1, .bgid = GROUP};
	struct io_uring probe;
	int error = make_ring(&probe, 2);

	if (error == -ENOSYS)
		return "the kernel has no io_uring";
	if (error)
		return error == -EPERM ? "io_uring is not allowed" : strerror(-error);
	lent.ring_addr = (uintptr_t)mmap(NULL, BUFFER, PROT_READ | PROT_WRITE,
					 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	error = io_uring_register_buf_ring(&probe, &lent, 0);
	io_uring_queue_exit(&probe);
	return error ? "io_uring has no rings of buffers (Linux 5.19)" : NULL;
}

static struct model model = {.name = "io_uring",
			     .summary =
				     "one thread, io_uring: orders and results instead of waiting",
			     .serve = serve,
			     .missing = missing};

__attribute__((constructor)) static void add(void)
{
	model_add(&model);
}
