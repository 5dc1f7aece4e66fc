/* SPDX-License-Identifier: MIT */
/* needs: liburing */
#include "ring.h"

#include <err.h>
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "conn_table.h"

enum {
	SUBMISSIONS = 64,      /* in the submission queue */
	COMPLETIONS = 4096,    /* in the completion queue: a receive may have many */
	BUFFER = 4096,         /* bytes */
	PARTS = 32,            /* buffers of a connection that are sent together */
	BUFFERS_MAX = 1 << 15, /* the most a ring may have */
	BUFFERS_FEW = 8,       /* at first, enough for connections that send seldom */
	BUFFERS = 64,          /* after the first ENOBUFS; doubled whenever all are in use */
	GROUP = 0,
};

enum operation { SOURCE, RECEIVE, CANCEL, SEND };

/* What is under way, or has happened: conn->watched. */
enum { RECEIVING = 1, CANCELLING = 2, SENDING = 4, CLOSED = 8, ENDING = 16 };

/* What a buffer holds, and the next of the same connection: they form a ring. */
struct received {
	uint16_t length, next;
};

/* What a send of several buffers refers to until it is submitted. */
struct parts {
	struct msghdr message;
	struct iovec buffers[PARTS];
};

/* A thread's. */
struct ring {
	struct io_uring uring;
	const struct source *source;
	void (*handle)(struct conn *conn); /* the model's */
	int64_t open;                      /* connections */
	bool listening;
	unsigned int buffers_n, unused_n; /* unused: the kernel can use them */
	struct io_uring_buf_ring *provided;
	char *buffers;
	struct received received[BUFFERS_MAX];
	struct parts parts[SUBMISSIONS];
	/* connections without a receive for lack of buffers, and without buffers that will be freed */
	struct conn **starved;
	size_t starved_n, starved_room;
};

static _Thread_local struct ring *ring;

/* --- buffers ------------------------------------------------------------------ */

static char *buffer_at(unsigned int id)
{
	return ring->buffers + (size_t)id * BUFFER;
}

static void provide(unsigned int id)
{
	io_uring_buf_ring_add(ring->provided, buffer_at(id), BUFFER, (unsigned short)id,
			      io_uring_buf_ring_mask(BUFFERS_MAX), 0);
	io_uring_buf_ring_advance(ring->provided, 1);
	ring->unused_n++;
}

/* After ENOBUFS; false if there is still none. */
static bool provide_more(void)
{
	unsigned int wanted = ring->buffers_n < BUFFERS ? BUFFERS : 2 * ring->buffers_n;

	if (ring->unused_n == 0 || ring->buffers_n < BUFFERS)
		while (ring->buffers_n < wanted && ring->buffers_n < BUFFERS_MAX - 1)
			provide(ring->buffers_n++);
	return ring->unused_n > 0;
}

/* Puts a buffer behind those of the connection. */
static void append(struct conn *conn, unsigned int id, int length)
{
	ring->received[id] = (struct received){(uint16_t)length, (uint16_t)id};
	if (conn->buffers++ > 0) {
		ring->received[id].next = ring->received[conn->last].next;
		ring->received[conn->last].next = (uint16_t)id;
	}
	conn->last = (uint16_t)id;
}

/* Provides the first one again; returns how many bytes it held. */
static unsigned int drop_first(struct conn *conn)
{
	unsigned int first = ring->received[conn->last].next;

	ring->received[conn->last].next = ring->received[first].next;
	conn->buffers--;
	provide(first);
	return ring->received[first].length;
}

/* --- submissions -------------------------------------------------------------- */

static struct io_uring_sqe *new_submission(void)
{
	struct io_uring_sqe *sqe;

	while ((sqe = io_uring_get_sqe(&ring->uring)) == NULL) {
		int error = io_uring_submit(&ring->uring);

		if (error < 0 && error != -EINTR)
			errx(2, "io_uring_submit: %s", strerror(-error));
	}
	return sqe;
}

static uint64_t label(enum operation what, int fd)
{
	return (uint64_t)what << 32 | (uint32_t)fd;
}

static void watch_source(void)
{
	struct io_uring_sqe *sqe = new_submission();

	io_uring_prep_poll_multishot(sqe, ring->source->fd, POLLIN);
	io_uring_sqe_set_data64(sqe, label(SOURCE, ring->source->fd));
}

void ring_receive(struct conn *conn)
{
	struct io_uring_sqe *sqe;

	if (conn->watched & RECEIVING)
		return;
	sqe = new_submission();
	io_uring_prep_recv_multishot(sqe, conn->fd, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = GROUP;
	io_uring_sqe_set_data64(sqe, label(RECEIVE, conn->fd));
	conn->watched |= RECEIVING;
}

static void submit_cancel(struct conn *conn)
{
	struct io_uring_sqe *sqe = new_submission();

	io_uring_prep_cancel64(sqe, label(RECEIVE, conn->fd), 0);
	io_uring_sqe_set_data64(sqe, label(CANCEL, conn->fd));
	conn->watched |= CANCELLING;
}

/* All of it, however slowly the peer reads (MSG_WAITALL). */
static void submit_send(struct conn *conn, const char *bytes, size_t length)
{
	struct io_uring_sqe *sqe = new_submission();

	io_uring_prep_send(sqe, conn->fd, bytes, length, MSG_WAITALL | MSG_NOSIGNAL);
	io_uring_sqe_set_data64(sqe, label(SEND, conn->fd));
	conn->watched |= SENDING;
}

static void submit_held(struct conn *conn)
{
	struct conn_answer held = conn_held(conn);

	submit_send(conn, held.bytes, held.length);
}

/* The same for the first buffers of the connection. */
static void submit_buffers(struct conn *conn, unsigned int n)
{
	struct io_uring_sqe *sqe = new_submission();
	struct parts *many = &ring->parts[sqe - ring->uring.sq.sqes];
	unsigned int id = conn->last;

	for (unsigned int i = 0; i < n; i++) {
		id = ring->received[id].next;
		many->buffers[i] = (struct iovec){buffer_at(id), ring->received[id].length};
	}
	many->message = (struct msghdr){.msg_iov = many->buffers, .msg_iovlen = n};
	io_uring_prep_sendmsg(sqe, conn->fd, &many->message, MSG_WAITALL | MSG_NOSIGNAL);
	io_uring_sqe_set_data64(sqe, label(SEND, conn->fd));
	conn->watched |= SENDING;
}

/* --- what a model can do -------------------------------------------------------- */

bool ring_has_input(const struct conn *conn)
{
	return !(conn->watched & ENDING) && conn->stage != CONN_EOF &&
	       (conn->buffers || conn->watched & CLOSED);
}

bool ring_is_sending(const struct conn *conn)
{
	return conn->watched & SENDING;
}

bool ring_is_over(struct conn *conn)
{
	return conn->watched & ENDING || conn_all_sent(conn);
}

/* An answer with bytes of its own, which are not in a provided buffer. */
static void send_copy(struct conn *conn, struct conn_answer answer)
{
	if (!answer.bytes || (answer.length && !conn_hold(conn, answer)))
		conn->watched |= ENDING; /* there is no memory */
	else if (answer.length)
		submit_held(conn);
}

/* As many buffers as one send can, and when there are none, the end of the input. */
void ring_answer(struct conn *conn)
{
	unsigned int id = conn->last;
	unsigned int n;

	if (!conn->buffers) {
		send_copy(conn, conn_answer(conn, "", 0));
		return;
	}
	for (n = 0; n < conn->buffers && n < PARTS; n++) {
		struct conn_answer answer;

		id = ring->received[id].next;
		answer = conn_answer(conn, buffer_at(id), ring->received[id].length);
		if (answer.bytes != buffer_at(id)) {
			send_copy(conn, answer);
			drop_first(conn);
			return;
		}
	}
	if (n == 1)
		submit_send(conn, buffer_at(id), ring->received[id].length);
	else
		submit_buffers(conn, n);
}

/* When all have left: buffers are used in turn, so in time each of the many of a bad hour would be kept. */
static void give_memory_back(void)
{
	if (ring->open == 0 && ring->buffers_n > BUFFERS)
		madvise(ring->buffers, (size_t)ring->buffers_n * BUFFER, MADV_DONTNEED);
}

bool ring_close(struct conn *conn)
{
	conn->watched |= ENDING;
	if (conn->watched & RECEIVING)
		shutdown(conn->fd, SHUT_RD); /* which completes it */
	if (conn->watched & (RECEIVING | SENDING))
		return false;
	while (conn->buffers)
		drop_first(conn);
	conn_close(conn);
	ring->open--;
	give_memory_back();
	return true;
}

/* --- completions -------------------------------------------------------------- */

/* False if there is no memory. */
static bool starve(struct conn *conn)
{
	if (ring->starved_n == ring->starved_room) {
		size_t more = ring->starved_room ? 2 * ring->starved_room : 64;
		struct conn **grown = realloc(ring->starved, more * sizeof(struct conn *));

		if (!grown)
			return false;
		ring->starved = grown;
		ring->starved_room = more;
	}
	ring->starved[ring->starved_n++] = conn;
	return true;
}

static void received_some(struct conn *conn, int result, unsigned int flags)
{
	if (!(flags & IORING_CQE_F_MORE))
		conn->watched &= (uint8_t) ~(RECEIVING | CANCELLING);
	ring->unused_n -= (flags & IORING_CQE_F_BUFFER) != 0;
	if (flags & IORING_CQE_F_BUFFER && result > 0)
		append(conn, flags >> IORING_CQE_BUFFER_SHIFT, result);
	else if (flags & IORING_CQE_F_BUFFER)
		provide(flags >> IORING_CQE_BUFFER_SHIFT);
	if (result < 0 && result != -ENOBUFS && result != -ECANCELED)
		conn->watched |= ENDING;
	if (result == 0)
		conn->watched |= CLOSED;
	if (result == -ENOBUFS && !provide_more() && !conn->buffers &&
	    !(conn->watched & (SENDING | ENDING))) {
		if (starve(conn))
			return;
		conn->watched |= ENDING;
	}
	if (conn->buffers < PARTS && flags & IORING_CQE_F_MORE &&
	    flags & IORING_CQE_F_SOCK_NONEMPTY)
		return; /* the completion of the next part follows */
	if (conn->buffers > PARTS && (conn->watched & (RECEIVING | CANCELLING)) == RECEIVING)
		submit_cancel(conn);
	ring->handle(conn); /* which may close it */
}

static void sent(struct conn *conn, int result)
{
	conn->watched &= (uint8_t)~SENDING;
	if (conn->unsent)
		conn_drop_held(conn);
	else
		while (result > 0)
			result -= (int)drop_first(conn);
	if (result < 0)
		conn->watched |= ENDING;
	ring->handle(conn);
	if (ring->starved_n)
		ring_receive(ring->starved[--ring->starved_n]);
}

static void take_all(unsigned int flags)
{
	struct conn *conn;

	while ((conn = source_next(ring->source)) != NULL) {
		conn->watched = 0;
		conn->buffers = 0;
		ring->open++;
		if (conn->unsent)
			submit_held(conn);
		else
			ring_receive(conn);
	}
	ring->listening = errno != ESHUTDOWN;
	if (ring->listening && !(flags & IORING_CQE_F_MORE))
		watch_source();
}

static void complete(const struct io_uring_cqe *cqe)
{
	int fd = (int)(uint32_t)cqe->user_data;

	switch ((enum operation)(cqe->user_data >> 32)) {
	case SOURCE:
		take_all(cqe->flags);
		break;
	case RECEIVE:
		received_some(conn_of(fd), cqe->res, cqe->flags);
		break;
	case CANCEL:
		break; /* the cancelled receive completes, too */
	case SEND:
		sent(conn_of(fd), cqe->res);
		break;
	}
}

static int run(void)
{
	while (ring->listening || ring->open) {
		int error = io_uring_submit_and_wait(&ring->uring, 1);
		struct io_uring_cqe *cqe;
		unsigned int head;
		unsigned int n = 0;

		if (error < 0 && error != -EINTR && error != -EBUSY && error != -EAGAIN)
			return -error;
		io_uring_for_each_cqe(&ring->uring, head, cqe)
		{
			complete(cqe);
			n++;
		}
		io_uring_cq_advance(&ring->uring, n);
	}
	return 0;
}

/* --- the ring ----------------------------------------------------------------- */

/*
 * A ring for one thread (since Linux 6.0, as are multishot receives), whose completions are
 * processed when the thread waits for them (6.1).
 */
static int make_ring(struct io_uring *made)
{
	struct io_uring_params asked = {.flags = IORING_SETUP_SINGLE_ISSUER |
						 IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE,
					.cq_entries = COMPLETIONS};
	struct io_uring_params best = asked;
	int error;

	best.flags |= IORING_SETUP_DEFER_TASKRUN;
	error = io_uring_queue_init_params(SUBMISSIONS, made, &best);
	return error == -EINVAL ? io_uring_queue_init_params(SUBMISSIONS, made, &asked) : error;
}

/* Registers a ring of provided buffers; 0 or a negative error number. */
static int register_buffers(void)
{
	struct io_uring_buf_reg registration = {.ring_entries = BUFFERS_MAX, .bgid = GROUP};
	size_t ring_bytes = BUFFERS_MAX * sizeof(struct io_uring_buf);
	size_t bytes = (size_t)BUFFERS_MAX * BUFFER;
	char *memory = mmap(NULL, ring_bytes + bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int error;

	if (memory == MAP_FAILED)
		return -errno;
	registration.ring_addr = (uintptr_t)memory;
	error = io_uring_register_buf_ring(&ring->uring, &registration, 0);
	if (error)
		return error;
	ring->provided = (struct io_uring_buf_ring *)(void *)memory;
	ring->buffers = memory + ring_bytes;
	io_uring_buf_ring_init(ring->provided);
	while (ring->buffers_n < BUFFERS_FEW)
		provide(ring->buffers_n++);
	return 0;
}

int ring_serve(const struct source *source, void (*handle)(struct conn *conn))
{
	int error;

	ring = calloc(1, sizeof(*ring));
	if (!ring)
		return ENOMEM;
	ring->source = source;
	ring->handle = handle;
	ring->listening = true;
	error = make_ring(&ring->uring);
	if (!error)
		error = register_buffers();
	if (error)
		return -error;
	source_begin(source);
	watch_source();
	error = run();
	io_uring_queue_exit(&ring->uring);
	return error;
}

const char *ring_missing(void)
{
	struct io_uring probe;
	int error = make_ring(&probe);

	if (!error)
		io_uring_queue_exit(&probe);
	switch (error) {
	case 0:
		return NULL;
	case -ENOSYS:
		return "the kernel has no io_uring";
	case -EPERM:
		return "io_uring is not allowed";
	case -EINVAL:
		return "io_uring has no multishot receive (Linux 6.0)";
	default:
		return strerror(-error);
	}
}
