/* SPDX-License-Identifier: MIT */
#include "tcpinfo.h"

#include <linux/tcp.h> /* glibc's struct tcp_info ends before the clocks */
#include <netinet/in.h>
#include <sys/socket.h>

#include "check.h"

struct tcpinfo tcpinfo_read(int fd)
{
	struct tcp_info info = {0};
	socklen_t size = sizeof(info);

	check_fd(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size), "TCP_INFO");
	return (struct tcpinfo){.busy = (int64_t)info.tcpi_busy_time * 1000,
				.rwnd_limited = (int64_t)info.tcpi_rwnd_limited * 1000,
				.sndbuf_limited = (int64_t)info.tcpi_sndbuf_limited * 1000,
				.backoff = info.tcpi_backoff,
				.state = info.tcpi_state,
				.rtt = (int64_t)info.tcpi_rtt * 1000,
				.min_rtt = (int64_t)info.tcpi_min_rtt * 1000,
				.cwnd = info.tcpi_snd_cwnd,
				.mss = info.tcpi_snd_mss,
				.retransmits = info.tcpi_total_retrans,
				.segs_out = info.tcpi_segs_out,
				.segs_in = info.tcpi_segs_in,
				.data_out = info.tcpi_data_segs_out,
				.data_in = info.tcpi_data_segs_in,
				.acked = (int64_t)info.tcpi_bytes_acked,
				.unacked = info.tcpi_unacked,
				.rto = (int64_t)info.tcpi_rto * 1000};
}
