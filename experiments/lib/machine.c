/* SPDX-License-Identifier: MIT */
#include "machine.h"

#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

#include "build.h" /* written by the Makefile: BUILD_VERSION, BUILD_COMMIT, BUILD_DIRTY, BUILD_FLAGS */
#include "cgroup.h"
#include "proc.h"
#include "rows.h"
#include "span.h"
#include "text.h"

enum { LINE = 512 };

#if defined(__clang__)
#define COMPILER       "clang"
#define COMPILER_MAJOR __clang_major__
#define COMPILER_MINOR __clang_minor__
#else
#define COMPILER       "gcc"
#define COMPILER_MAJOR __GNUC__
#define COMPILER_MINOR __GNUC_MINOR__
#endif

/* The settings that can change an answer; each is recorded where it exists. */
static const char *const sysctls[] = {
	"net/core/default_qdisc",
	"net/core/netdev_max_backlog",
	"net/core/rmem_default",
	"net/core/rmem_max",
	"net/core/somaxconn",
	"net/core/wmem_default",
	"net/core/wmem_max",
	"net/ipv4/ip_local_port_range",
	"net/ipv4/tcp_abort_on_overflow",
	"net/ipv4/tcp_adv_win_scale",
	"net/ipv4/tcp_autocorking",
	"net/ipv4/tcp_congestion_control",
	"net/ipv4/tcp_limit_output_bytes",
	"net/ipv4/tcp_max_syn_backlog",
	"net/ipv4/tcp_mem",
	"net/ipv4/tcp_moderate_rcvbuf",
	"net/ipv4/tcp_notsent_lowat",
	"net/ipv4/tcp_rmem",
	"net/ipv4/tcp_slow_start_after_idle",
	"net/ipv4/tcp_syn_linear_timeouts",
	"net/ipv4/tcp_syn_retries",
	"net/ipv4/tcp_syncookies",
	"net/ipv4/tcp_tw_reuse",
	"net/ipv4/tcp_wmem",
	"net/unix/max_dgram_qlen",
	"fs/pipe-max-size",
	"fs/pipe-user-pages-soft",
	"kernel/sched_autogroup_enabled",
	"kernel/timer_migration",
};

/* The first line of a file without its newline, tabs as blanks; NULL if it cannot be read or is
 * empty. */
static const char *first_line(const char *path, char line[LINE])
{
	FILE *file = fopen(path, "re");
	bool read = file && fgets(line, LINE, file);

	if (file)
		fclose(file);
	if (!read)
		return NULL;
	line[strcspn(line, "\n")] = '\0';
	for (char *c = line; *c; c++)
		if (*c == '\t')
			*c = ' ';
	return *line ? line : NULL;
}

static const char *cpu_model(char line[LINE])
{
	FILE *file = fopen("/proc/cpuinfo", "re");
	const char *model = NULL;

	while (file && !model && fgets(line, LINE, file)) {
		char *colon = strchr(line, ':');

		if (!colon ||
		    (strncmp(line, "model name", 10) != 0 && strncmp(line, "Model", 5) != 0))
			continue;
		colon[strcspn(colon, "\n")] = '\0';
		model = colon + 1 + strspn(colon + 1, " ");
	}
	if (file)
		fclose(file);
	return model;
}

/*
 * The hypervisor by the name it gives itself (CPUID leaf 0x40000000), or NULL on bare metal.  On an Arm
 * the firmware names it, or the device tree of the board that QEMU and others invent.
 */
static const char *hypervisor(void)
{
#if defined(__x86_64__) || defined(__i386__)
	static const char *const known[][2] = {
		{"KVMKVMKVM", "KVM"},        {"VMwareVMware", "VMware"},
		{"Microsoft Hv", "Hyper-V"}, {"XenVMMXenVMM", "Xen"},
		{"TCGTCGTCGTCG", "QEMU"},    {"VBoxVBoxVBox", "VirtualBox"},
		{"bhyve bhyve ", "bhyve"}};
	unsigned int a;
	unsigned int b;
	unsigned int c;
	unsigned int d;
	unsigned int name[4] = {0};

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & (1U << 31)))
		return NULL;
	__cpuid(0x40000000, a, name[0], name[1], name[2]);
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strncmp((const char *)name, known[i][0], 12) == 0)
			return known[i][1];
	return "unknown";
#else
	char line[LINE];

	if (first_line("/sys/class/dmi/id/sys_vendor", line) && strcmp(line, "QEMU") == 0)
		return "QEMU";
	if (first_line("/proc/device-tree/compatible", line) &&
	    strcmp(line, "linux,dummy-virt") == 0)
		return "unknown";
	return access("/sys/hypervisor/type", R_OK) == 0 ? "unknown" : NULL;
#endif
}

/* The optimisation of BUILD_FLAGS ("-O2"), which decides most; "" if none is given. */
static const char *optimisation(void)
{
	const char *level = strstr(BUILD_FLAGS, "-O");

	return level ? text_format(" %.*s", (int)strcspn(level, " "), level) : "";
}

const char *machine_version(void)
{
	return text_format("stallrace %s (%s%s)", BUILD_VERSION, BUILD_COMMIT,
			   BUILD_DIRTY ? ", changed" : "");
}

int machine_cpus(void)
{
	cpu_set_t cpus;

	return sched_getaffinity(0, sizeof(cpus), &cpus) == 0 ? CPU_COUNT(&cpus) : 1;
}

const char *machine_summary(void)
{
	struct utsname kernel = {0};
	const char *dot = text_pick(" · ", " - ");
	const char *guest = hypervisor();
	double quota = cgroup_quota();
	int cpus = machine_cpus();
	int major = 0;
	int minor = 0;

	uname(&kernel);
	sscanf(kernel.release, "%d.%d", &major, &minor); /* NOLINT(cert-err34-c): 0.0 says enough */
	return text_format("%d CPU%s%s%sLinux %d.%d%s%s %d.%d%s%s%s%s", cpus, cpus == 1 ? "" : "s",
			   quota > 0 ? text_format(", quota %.3g", quota) : "", dot, major, minor,
			   dot, COMPILER, COMPILER_MAJOR, COMPILER_MINOR, optimisation(), dot,
			   guest ? guest : "bare metal", guest ? " guest" : "");
}

int64_t machine_sysctl(const char *name)
{
	return proc_number(text_format("/proc/sys/%s", name), "", -1);
}

static void describe_sysctls(json_t *row)
{
	json_t *found = json_object();
	char path[LINE];
	char line[LINE];

	for (size_t i = 0; i < sizeof(sysctls) / sizeof(sysctls[0]); i++) {
		char name[LINE];

		snprintf(path, sizeof(path), "/proc/sys/%s", sysctls[i]);
		if (!first_line(path, line))
			continue;
		snprintf(name, sizeof(name), "%s", sysctls[i]);
		for (char *c = name; *c; c++)
			if (*c == '/')
				*c = '.';
		json_object_set_new(found, name, rows_text(line));
	}
	json_object_set_new(row, "sysctl", found);
}

/* What this process may use of the machine's CPUs. */
static void describe_cpus(json_t *row)
{
	const char *cpuset = cgroup_cpuset();
	double quota = cgroup_quota();
	cpu_set_t cpus;

	json_object_set_new(row, "cpus_online", json_integer(sysconf(_SC_NPROCESSORS_ONLN)));
	if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0)
		rows_add(row, (struct field[]){{"cpus_allowed", .text = machine_cpus_format(&cpus)},
					       {0}});
	if (*cpuset)
		rows_add(row, (struct field[]){{"cpuset", .text = cpuset}, {0}});
	if (quota > 0)
		json_object_set_new(row, "cpu_quota_cpus", json_real(quota));
}

/* In bytes; 0 = cannot be told.  Asked of a socket: /sys may be that of another network namespace. */
static int loopback_mtu(void)
{
	struct ifreq request = {.ifr_name = "lo"};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool told = fd >= 0 && ioctl(fd, SIOCGIFMTU, &request) == 0;

	if (fd >= 0)
		close(fd);
	return told ? request.ifr_mtu : 0;
}

void machine_describe(json_t *row)
{
	struct utsname kernel = {0};
	char utc[sizeof("2000-01-01T00:00:00Z")] = "";
	char line[LINE];
	const char *guest = hypervisor();
	const char *text;
	double load[3] = {0};
	time_t now = time(NULL);
	int mtu = loopback_mtu();
	struct tm tm;

	uname(&kernel);
	if (gmtime_r(&now, &tm))
		strftime(utc, sizeof(utc), "%Y-%m-%dT%H:%M:%SZ", &tm);
	rows_add(row, (struct field[]){{"utc", .text = utc},
				       {"version", .text = BUILD_VERSION},
				       {"commit", .text = BUILD_COMMIT},
				       {0}});
	json_object_set_new(row, "dirty", json_boolean(BUILD_DIRTY));
	json_object_set_new(row, "compiler",
			    json_sprintf("%s %d.%d", COMPILER, COMPILER_MAJOR, COMPILER_MINOR));
	rows_add(row, (struct field[]){{"flags", .text = BUILD_FLAGS},
				       {"kernel", .text = kernel.release},
				       {"arch", .text = kernel.machine},
				       {"virtualisation", .text = guest ? guest : "none"},
				       {0}});
	text = cpu_model(line);
	if (text)
		json_object_set_new(row, "cpu_model", rows_text(text));
	describe_cpus(row);
	if (getloadavg(load, 3) == 3)
		json_object_set_new(row, "load", json_pack("[f,f,f]", load[0], load[1], load[2]));
	text = first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", line);
	if (text)
		json_object_set_new(row, "cpu_governor", rows_text(text));
	if (mtu > 0)
		json_object_set_new(row, "loopback_mtu_bytes", json_integer(mtu));
	describe_sysctls(row);
}

int machine_cpus_parse(const char *list, cpu_set_t *cpus)
{
	cpu_set_t allowed;

	CPU_ZERO(cpus);
	if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
		return errno;
	do {
		char *end;
		unsigned long first;
		unsigned long last;

		if (!isdigit((unsigned char)*list))
			return EINVAL;
		first = last = strtoul(list, &end, 10);
		if (*end == '-') {
			list = end + 1;
			if (!isdigit((unsigned char)*list))
				return EINVAL;
			last = strtoul(list, &end, 10);
		}
		if (last < first || (*end && *end != ','))
			return EINVAL;
		for (unsigned long cpu = first; cpu <= last; cpu++) {
			if (cpu >= CPU_SETSIZE || !CPU_ISSET(cpu, &allowed))
				return ENODEV;
			CPU_SET(cpu, cpus);
		}
		list = *end ? end + 1 : NULL;
	} while (list);
	return 0;
}

const char *machine_cpus_format(const cpu_set_t *cpus)
{
	char list[LINE] = "";
	int used = 0;

	for (int cpu = 0; cpu < CPU_SETSIZE && used < LINE - 16; cpu++) {
		int last = cpu;

		if (!CPU_ISSET(cpu, cpus))
			continue;
		while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, cpus))
			last++;
		used += snprintf(list + used, sizeof(list) - (size_t)used, "%s%d", used ? "," : "",
				 cpu);
		if (last > cpu)
			used += snprintf(list + used, sizeof(list) - (size_t)used, "-%d", last);
		cpu = last;
	}
	return text_format("%s", list);
}

static int64_t cpu_ns_of(int who)
{
	struct rusage usage = {0};

	getrusage(who, &usage);
	return ((int64_t)usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000 +
	       ((int64_t)usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000;
}

void machine_load(struct machine_load *now)
{
	/* proc_stat(5): user nice system idle iowait irq softirq steal, in ticks */
	long long ticks[8] = {0};
	int64_t tick_ns = 1000000000 / sysconf(_SC_CLK_TCK);
	char line[LINE];

	*now = (struct machine_load){.wall_ns = span_now(),
				     .own_ns = cpu_ns_of(RUSAGE_SELF) + cpu_ns_of(RUSAGE_CHILDREN)};
	if (!first_line("/proc/stat", line))
		return;
	/* NOLINTNEXTLINE(cert-err34-c): what cannot be read stays 0 */
	if (sscanf(line, "cpu %lld %lld %lld %lld %lld %lld %lld %lld", &ticks[0], &ticks[1],
		   &ticks[2], &ticks[3], &ticks[4], &ticks[5], &ticks[6], &ticks[7]) < 7)
		return;
	now->busy_ns = (ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6]) * tick_ns;
	now->steal_ns = ticks[7] * tick_ns;
}

void machine_describe_load(json_t *row, const struct machine_load *since)
{
	struct machine_load now;

	machine_load(&now);
	rows_add(row, (struct field[]){{"wall_ns", now.wall_ns - since->wall_ns},
				       {"own_cpu_ns", now.own_ns - since->own_ns},
				       {"machine_cpu_ns", now.busy_ns - since->busy_ns},
				       {"steal_ns", now.steal_ns - since->steal_ns},
				       {0}});
}
