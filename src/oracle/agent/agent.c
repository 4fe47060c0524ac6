/*
 * The native agent: runs a workload's operations in real processes, one at a time, and looks at them after each.
 *
 *   agent run CPU DIRECTORY LAYOUT    pinned to CPU, files in DIRECTORY, struct layouts as btf.ts prints them ("-": none)
 *   agent guard ...                   see guard.c
 *
 * Commands on stdin, one a line, numbers as in C; every answer ends with a line ".":
 *
 *   start [1]                a first task, number 1; tasks of the workload before are killed, files removed; 1: KSM begins anew
 *   file @NAME SIZE SEED CACHED   makes a file of SIZE bytes; page i holds the byte that SEED and i give (see file_byte)
 *   mount @NAME SIZE HUGE    a tmpfs of SIZE bytes with huge= 0 never, 1 always, 2 within_size, 3 advise, gone with the workload
 *   mount_huge @NAME SIZE MIN   a hugetlbfs with these bounds in bytes, -1 for none; umount @NAME
 *   end                      kills the tasks
 *   lost_hugepages N         more than a workload says: reservations that Linux lost keep them
 *   nr_hugepages N           nr_overcommit_hugepages N: files of the pool of huge pages
 *   ksm_scan N               full scans by ksmd      ksm_use_zero_pages 0|1      khugepaged_scan 1      drop_caches 2
 *   TASK call NR a0 .. a5    a system call; an argument `@HEX` stands for the address of these bytes
 *   TASK load ADDR LENGTH, store ADDR BYTE LENGTH, touch ADDR WRITE
 *   TASK pipe FLAGS          TASK vmsplice FD ADDR LENGTH FLAGS
 *   TASK vm_readv TASK LOCAL LENGTH REMOTE LENGTH FLAGS, vm_writev likewise
 *   TASK ptrace TASK REQUEST ADDR DATA    attached and stopped before, let go afterwards
 *   TASK ring_setup ENTRIES  TASK ring_register FD OPCODE ADDR LENGTH COUNT
 *   TASK move_pages TASK|0 NODE FLAGS COUNT ADDR..   of up to 4 pages; a NODE of 0x100000 asks only. `extra`: statuses, 16 bits each
 *   TASK ring_buffers FD OPCODE ADDR ENTRIES GROUP FLAGS    registers a ring of provided buffers, or takes it back
 *   TASK ring_fixed FD WRITE PIPE ADDR LENGTH INDEX    an IORING_OP_READ_FIXED or WRITE_FIXED, waited for
 *   TASK uffd_open FLAGS HANDSHAKE FEATURES    userfaultfd(2), and UFFDIO_API if HANDSHAKE is 1
 *   TASK uffd_ioctl FD COMMAND W0 .. W4 OUT    on a structure of five words; `extra` is word OUT of it then (see task.c)
 *   TASK uffd_read FD LENGTH     messages: `extra` of them, see below      TASK poll FD EVENTS MS    `extra`: revents
 *   TASK clone CHILD FLAGS   TASK wait CHILD|-1      TASK cpu N      TASK exit GROUP STATUS
 *
 * The answer to an operation: `R ret errno signal si_code si_addr extra` (hexadecimal; ret of clone and wait is the workload's number),
 * or `B` if it blocked, then what observe.c prints. `! reason` for a command that cannot be done.
 *
 * A task that sleeps until a userfaultfd's monitor does something answers `W task`; behind the answer to the operation that ended its sleep stands
 * `U task` with the same numbers as behind `R`. `E event flags address task` is a message that was read.
 */
#define _GNU_SOURCE
#include "agent.h"
#include "guard.h"
#include "kernel-memory.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <linux/userfaultfd.h>
#include <unistd.h>

#ifndef MADV_COLD
#define MADV_COLD 20
#endif
#define REPLY_MS_MAX 5000
#define DEATH_MS_MAX 20000
#define OUT_BYTES (1 << 18)

static char *scratch;
static const char *directory;
static int fd_limit;
static unsigned cpu;
static uint64_t cpus_used;
static int own_mounts;

static void use_cpu(unsigned number)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(number, &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
}

/*
 * Empties the LRU batches of the CPUs that tasks have used: new, deactivated, lazily freed and mlocked folios wait there with a
 * reference. The advice empties those of the CPU that it runs on.
 */
static void drain(void)
{
	for (unsigned other = 0; other < 64; other++)
		if (other != cpu && (cpus_used >> other) & 1) {
			use_cpu(other);
			madvise(scratch, PAGE, MADV_COLD);
		}
	if (cpus_used & ~(1ULL << cpu))
		use_cpu(cpu);
	madvise(scratch, PAGE, MADV_COLD);
}

/* Empties the batches of all CPUs: what ends in an interrupt, or ksmd does, may be on any. */
static void drain_all(void)
{
	for (long other = 0; other < sysconf(_SC_NPROCESSORS_ONLN) && other < 64; other++) {
		use_cpu((unsigned)other);
		madvise(scratch, PAGE, MADV_COLD);
	}
	use_cpu(cpu);
}

/* What was written to swap has been written, and waits in no batch. */
static void settle_swap(void)
{
	observe_written();
	drain_all();
}

static int is_pageout(const struct command *command)
{
	return command->op == OP_SYSCALL && command->a[0] == SYS_madvise && command->a[3] == MADV_PAGEOUT;
}

static int task_of_pid(int64_t pid)
{
	for (int i = 1; i <= TASKS_MAX; i++)
		if (tasks[i].pid == pid && pid > 0)
			return i;
	return 0;
}

static int wait_readable(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, ms) > 0;
}

static void reap_all(void)
{
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

static void kill_tasks(void)
{
	for (int i = 1; i <= TASKS_MAX; i++)
		if (tasks[i].alive)
			kill(tasks[i].pid, SIGKILL);
	for (int i = 1; i <= TASKS_MAX; i++)
		if (tasks[i].alive) {
			wait_readable(tasks[i].pidfd, DEATH_MS_MAX);
			observe_detach(i);
		}
	reap_all();
	for (int i = 0; i <= TASKS_MAX; i++) {
		close(observer_end(i));
		close(task_end(i));
	}
}

static void remove_files(void)
{
	DIR *d = opendir(directory);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.' && unlinkat(dirfd(d), e->d_name, 0) < 0) {
			char path[2 * PATH_BYTES];

			/* A tmpfs. */
			snprintf(path, sizeof(path), "%s/%s", directory, e->d_name);
			umount2(path, MNT_DETACH);
			rmdir(path);
		}
	if (d)
		closedir(d);
}

/* Stacks that no living task uses, or -1. */
static int free_slot(void)
{
	int used[LIVING_MAX] = {0};

	for (int i = 1; i <= TASKS_MAX; i++)
		if (tasks[i].alive) {
			used[tasks[i].slot] = 1;
			if (tasks[i].asleep && tasks[i].asleep_op == OP_CLONE)
				used[tasks[i].child_slot] = 1;
		}
	for (int slot = 0; slot < LIVING_MAX; slot++)
		if (!used[slot])
			return slot;
	return -1;
}

/* Takes the greeting of a new task. */
static int attach(int i, int slot, int tgid, int owner)
{
	struct reply hello;

	if (!wait_readable(observer_end(i), REPLY_MS_MAX) || read(observer_end(i), &hello, sizeof(hello)) != sizeof(hello))
		return -1;
	return observe_attach(i, slot, hello.pid, tgid ? tgid : hello.pid, owner, hello.mm);
}

static int start(void)
{
	kill_tasks();
	remove_files();
	memset(tasks, 0, sizeof(tasks));
	fd_limit = 3;
	cpus_used = 0;
	for (int i = 1; i <= TASKS_MAX; i++) {
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0 || dup2(pair[0], observer_end(i)) < 0 ||
		    dup2(pair[1], task_end(i)) < 0)
			return -1;
		close(pair[0]);
		close(pair[1]);
	}
	fflush(stdout);
	if (fork() == 0)
		first_task(1);
	return attach(1, 0, 0, 1);
}

static unsigned char file_byte(uint64_t seed, uint64_t index)
{
	return (unsigned char)(1 + (seed * 101 + index * 37) % 255);
}

static int make_file(const char *name, uint64_t size, uint64_t seed, int cached)
{
	unsigned char page[PAGE];
	char path[2 * PATH_BYTES];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0)
		return -errno;
	/* A page at a time: a folio of the page cache is as large as the write that makes it. */
	for (uint64_t at = 0; at < size; at += PAGE) {
		uint64_t n = size - at < PAGE ? size - at : PAGE;

		memset(page, file_byte(seed, at / PAGE), PAGE);
		if (pwrite(fd, page, n, (off_t)at) != (ssize_t)n) {
			close(fd);
			return -EIO;
		}
	}
	fsync(fd);
	if (!cached)
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
	return 0;
}

/* Mounts are the agent's own: they go with it, however it ends. `huge` is the place of its word. */
static int mount_tmpfs(const char *name, uint64_t size, uint64_t huge)
{
	static const char *const WORDS[] = {"never", "always", "within_size", "advise"};
	char path[2 * PATH_BYTES], options[64];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	if (huge >= sizeof(WORDS) / sizeof(*WORDS))
		return -EINVAL;
	snprintf(options, sizeof(options), "size=%lu,huge=%s", (unsigned long)size, WORDS[huge]);
	if (!own_mounts || mkdir(path, 0700) < 0 || mount("tmpfs", path, "tmpfs", 0, options) < 0)
		return -errno;
	return 0;
}

/* A hugetlbfs; 0 or a negative errno. */
static int mount_hugetlbfs(const char *name, long size, long min)
{
	char path[2 * PATH_BYTES], options[96];
	int n;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	n = snprintf(options, sizeof(options), "pagesize=2M");
	if (size >= 0)
		n += snprintf(options + n, sizeof(options) - n, ",size=%ld", size);
	if (min >= 0)
		n += snprintf(options + n, sizeof(options) - n, ",min_size=%ld", min);
	if (!own_mounts)
		return -EPERM;
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	return mount("none", path, "hugetlbfs", 0, options) < 0 ? -errno : 0;
}

static int umount_at(const char *name)
{
	char path[2 * PATH_BYTES];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return umount2(path, 0) < 0 ? -errno : 0;
}

/* ---- operations ---- */

static const struct {
	const char *name;
	enum task_op op;
} OPERATIONS[] = {
	{"call", OP_SYSCALL}, {"load", OP_LOAD}, {"store", OP_STORE}, {"touch", OP_TOUCH}, {"clone", OP_CLONE}, {"cpu", OP_CPU},
	{"wait", OP_WAIT}, {"pipe", OP_PIPE}, {"vmsplice", OP_VMSPLICE}, {"vm_readv", OP_VM_READV}, {"vm_writev", OP_VM_WRITEV},
	{"ring_setup", OP_RING_SETUP}, {"ring_register", OP_RING_REGISTER}, {"ring_fixed", OP_RING_FIXED},
	{"ring_buffers", OP_RING_BUFFERS},
	{"uffd_open", OP_UFFD_OPEN}, {"uffd_ioctl", OP_UFFD_IOCTL}, {"uffd_read", OP_UFFD_READ}, {"poll", OP_POLL},
	{"move_pages", OP_MOVE_PAGES}, {"ptrace", OP_PTRACE}, {"clear_refs", OP_CLEAR_REFS},
};

/* Reads the arguments behind the name; hexadecimal bytes go into the command. */
static int read_arguments(char *at, struct command *command)
{
	for (int i = 0; i < 8; i++) {
		char *end;

		while (*at == ' ')
			at++;
		if (*at == 0)
			return i;
		if (*at == '@') {
			size_t n = 0;
			unsigned byte;

			for (at++; n < PATH_BYTES - 1 && isxdigit((unsigned char)*at) && sscanf(at, "%2x", &byte) == 1; at += 2)
				command->bytes[n++] = (unsigned char)byte;
			command->bytes[n] = 0;
			command->a[i] = BYTES_ARGUMENT;
			continue;
		}
		command->a[i] = *at == '-' ? (uint64_t)strtoll(at, &end, 0) : strtoull(at, &end, 0);
		if (end == at)
			return -1;
		at = end;
	}
	return 8;
}

enum outcome { REPLIED, DIED, BLOCKED, ASLEEP };

/* Does the task sleep until the monitor of a userfaultfd does something? One that was woken is running, and sleeps nowhere. */
static int in_userfault(int t)
{
	char path[64], where[64] = "";
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/wchan", tasks[t].pid);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return 0;
	if (read(fd, where, sizeof(where) - 1) < 0)
		where[0] = 0;
	close(fd);
	/* The last two: who waits for something to read. */
	return !strcmp(where, "handle_userfault") || !strcmp(where, "userfaultfd_event_wait_completion") ||
	       !strncmp(where, "userfaultfd_ctx_read", 20) || !strncmp(where, "userfaultfd_read", 16) ||
	       (tasks[t].polls && strstr(where, "poll"));
}

/* Does task `i` sleep in an operation that is to make a task of number `child`? */
static int is_promised(int child)
{
	for (int i = 1; i <= TASKS_MAX; i++)
		if (tasks[i].alive && tasks[i].asleep && tasks[i].asleep_op == OP_CLONE && tasks[i].child == (uint64_t)child)
			return 1;
	return 0;
}

static enum outcome await(int t, struct reply *reply)
{
	struct pollfd p[2] = {{.fd = observer_end(t), .events = POLLIN}, {.fd = tasks[t].pidfd, .events = POLLIN}};

	for (int ms = 0; ms < REPLY_MS_MAX; ms++) {
		if (poll(p, 2, 1) <= 0) {
			if (in_userfault(t))
				return ASLEEP;
			continue;
		}
		if ((p[0].revents & POLLIN) && read(observer_end(t), reply, sizeof(*reply)) == sizeof(*reply))
			return REPLIED;
		return DIED;
	}
	return BLOCKED;
}

static void print_reply(const char *head, const struct reply *reply)
{
	printf("%s %lx %x %x %x %lx %lx\n", head, reply->ret, reply->err, reply->sig, reply->code, reply->addr, reply->extra);
}

/* A task was made. What its parent answered is the workload's number of it then. */
static int born(int t, struct reply *reply)
{
	uint64_t flags = tasks[t].child_flags;
	int child = (int)tasks[t].child, owner = flags & CLONE_VM ? tasks[t].owner : child;

	if (reply->ret <= 0)
		return 1;
	reply->ret = child;
	return attach(child, (int)tasks[t].child_slot, flags & CLONE_THREAD ? tasks[t].tgid : 0, owner) >= 0;
}

/* Reading of a fork makes a descriptor. */
static void note_descriptors(const struct reply *reply)
{
	for (unsigned i = 0; i < reply->extra && i < UFFD_MESSAGES_MAX; i++)
		if (reply->messages[i][0] == UFFD_EVENT_FORK && (int)reply->messages[i][1] >= fd_limit)
			fd_limit = (int)reply->messages[i][1] + 1;
}

static void print_messages(const struct reply *reply)
{
	for (unsigned i = 0; i < reply->extra && i < UFFD_MESSAGES_MAX; i++) {
		const uint64_t *m = reply->messages[i];
		int of_fault = m[0] == UFFD_EVENT_PAGEFAULT && m[3];

		printf("E %lx %lx %lx %lx\n", m[0], m[1], m[2], of_fault ? (uint64_t)task_of_pid((int64_t)m[3]) : m[3]);
	}
}

/* What sleeping tasks answered now that they were woken. They sleep again, or are done, before anything is looked at. */
static struct reply woken[TASKS_MAX + 1];
static int has_woken[TASKS_MAX + 1];

static void await_woken(void)
{
	for (int i = 1; i <= TASKS_MAX; i++) {
		has_woken[i] = 0;
		if (!tasks[i].alive || !tasks[i].asleep)
			continue;
		/* Whoever was woken runs already: the wake ended before the operation did. */
		if (in_userfault(i))
			continue;
		if (await(i, &woken[i]) == REPLIED) {
			has_woken[i] = 1;
			tasks[i].asleep = 0;
			if (tasks[i].asleep_op == OP_CLONE)
				born(i, &woken[i]);
			if (tasks[i].asleep_op == OP_UFFD_READ)
				note_descriptors(&woken[i]);
		}
	}
}

static void print_woken(void)
{
	char head[16];

	for (int i = 1; i <= TASKS_MAX; i++)
		if (has_woken[i]) {
			if (tasks[i].asleep_op == OP_UFFD_READ)
				print_messages(&woken[i]);
			snprintf(head, sizeof(head), "U %d", i);
			print_reply(head, &woken[i]);
		}
}

/* Tasks that went with `t`: its thread group, if the group exits. */
static void bury(int t)
{
	int tgid = tasks[t].tgid;

	wait_readable(tasks[t].pidfd, DEATH_MS_MAX);
	observe_detach(t);
	for (int i = 1; i <= TASKS_MAX; i++)
		if (tasks[i].alive && tasks[i].tgid == tgid && wait_readable(tasks[i].pidfd, 0))
			observe_detach(i);
	reap_all();
}

static void exit_task(int t, int group, uint64_t status)
{
	struct command command = {.op = OP_SYSCALL, .a = {group ? SYS_exit_group : SYS_exit, status}};
	int tgid = tasks[t].tgid;

	if (write(observer_end(t), &command, sizeof(command)) != sizeof(command))
		return;
	wait_readable(tasks[t].pidfd, DEATH_MS_MAX);
	for (int i = 1; group && i <= TASKS_MAX; i++)
		if (tasks[i].alive && tasks[i].tgid == tgid)
			wait_readable(tasks[i].pidfd, DEATH_MS_MAX);
	bury(t);
}

static void perform(int t, const char *name, char *arguments)
{
	struct command command = {0};
	struct reply reply = {0};
	enum outcome outcome = REPLIED;
	int n = read_arguments(arguments, &command);

	if (t < 1 || t > TASKS_MAX || !tasks[t].alive || tasks[t].asleep || n < 0) {
		printf("! task %d cannot act\n", t);
		return;
	}
	for (size_t i = 0; i < sizeof(OPERATIONS) / sizeof(OPERATIONS[0]); i++)
		if (!strcmp(OPERATIONS[i].name, name))
			command.op = OPERATIONS[i].op;
	drain();
	if (!strcmp(name, "exit")) {
		exit_task(t, (int)command.a[0], command.a[1]);
	} else if (!command.op) {
		printf("! no operation %s\n", name);
		return;
	} else {
		int child = (int)command.a[0];

		int slot = command.op == OP_CLONE ? free_slot() : 0;

		if (command.op == OP_CLONE && (child < 1 || child > TASKS_MAX || tasks[child].alive || is_promised(child) || slot < 0)) {
			printf("! no room for task %d\n", child);
			return;
		}
		if (command.op == OP_CLONE)
			command.a[2] = (uint64_t)slot;
		tasks[t].asleep_op = command.op;
		tasks[t].child = (uint64_t)child;
		tasks[t].child_flags = command.a[1];
		tasks[t].child_slot = (uint64_t)slot;
		tasks[t].polls = command.op == OP_POLL;
		if (command.op == OP_WAIT && child > 0)
			command.a[0] = (uint64_t)(child <= TASKS_MAX ? tasks[child].pid : 0x7fffffff);
		if (command.op == OP_VM_READV || command.op == OP_VM_WRITEV || command.op == OP_PTRACE ||
		    command.op == OP_CLEAR_REFS)
			command.a[0] = (uint64_t)(child >= 1 && child <= TASKS_MAX && tasks[child].alive ? tasks[child].pid : 0x7fffffff);
		if (command.op == OP_MOVE_PAGES && child != 0)
			command.a[0] = (uint64_t)(child >= 1 && child <= TASKS_MAX && tasks[child].alive ? tasks[child].pid : 0x7fffffff);
		if (command.op == OP_CPU)
			command.a[0] = (command.a[0] + cpu) % (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);
		if (command.op == OP_CPU && command.a[0] < 64)
			cpus_used |= 1ULL << command.a[0];
		if (write(observer_end(t), &command, sizeof(command)) != sizeof(command))
			outcome = DIED;
		else
			outcome = await(t, &reply);
		if (outcome == REPLIED && command.op == OP_CLONE && !born(t, &reply))
			outcome = BLOCKED;
		if (outcome == REPLIED && command.op == OP_UFFD_READ)
			note_descriptors(&reply);
		if (command.op == OP_WAIT && reply.ret > 0)
			reply.ret = task_of_pid(reply.ret);
		if (command.op == OP_PIPE && reply.ret == 0 && (int)reply.extra >= fd_limit)
			fd_limit = (int)reply.extra + 1;
		if ((command.op == OP_SYSCALL || command.op == OP_RING_SETUP || command.op == OP_UFFD_OPEN) && reply.ret >= fd_limit && reply.ret < fd_limit + 16)
			fd_limit = (int)reply.ret + 1;
	}
	await_woken();
	drain();
	if (is_pageout(&command))
		settle_swap();
	if (outcome == DIED) {
		printf("R 0 0 9 0 0 0\n");
		bury(t);
	} else if (outcome == BLOCKED) {
		printf("B\n");
		kill(tasks[t].pid, SIGKILL);
		bury(t);
	} else if (outcome == ASLEEP) {
		printf("W %d\n", t);
		tasks[t].asleep = 1;
	} else {
		if (command.op == OP_UFFD_READ)
			print_messages(&reply);
		print_reply("R", &reply);
	}
	print_woken();
	observe(fd_limit);
}

static int write_number(const char *path, int number)
{
	char text[16];
	int fd, length = snprintf(text, sizeof(text), "%d", number), error;

	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	error = write(fd, text, (size_t)length) == length ? 0 : -errno;
	close(fd);
	return error;
}

/* Pages that reservations of nobody keep in the pool. */
static int lost_hugepages;

/* A file of the pool of huge pages, which whoever guards the settings gives back. */
static int write_pool(const char *name, int number)
{
	char path[96];

	snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-2048kB/%s", name);
	return write_number(path, strcmp(name, "nr_hugepages") ? number : number + lost_hugepages);
}

/* What the machine does on its own. */
static void machine(const char *name, int number)
{
	int error;

	drain();
	if (!strcmp(name, "khugepaged_scan"))
		error = khugepaged_scan();
	else if (strstr(name, "_hugepages"))
		error = write_pool(name, number);
	else if (!strcmp(name, "drop_caches"))
		/* 2: what shrinkers have, large folios that wait to be split among it; pages of files stay. */
		error = write_number("/proc/sys/vm/drop_caches", number);
	else
		error = strcmp(name, "ksm_scan") ? ksm_use_zero_pages(number) : ksm_scan(number);
	drain_all();
	if (error)
		printf("! %s: the kernel's thread does not do as it is told\n", name);
	else
		printf("R 0 0 0 0 0 0\n");
	observe(fd_limit);
}

static int command_line(char *line)
{
	char name[32];
	int task, number, at = 0;

	line[strcspn(line, "\n")] = 0;
	if (!strcmp(line, "quit"))
		return 0;
	if (!strcmp(line, "start") || !strcmp(line, "start 1")) {
		ksm_used = 0;
		if (start() < 0 || (line[5] && ksm_start() < 0))
			printf("! the first task cannot be started: %s\n", strerror(errno));
		else
			observe(fd_limit);
	} else if (!strcmp(line, "end")) {
		kill_tasks();
		remove_files();
	} else if (!strncmp(line, "file ", 5)) {
		struct command command = {0};
		int n = read_arguments(line + 5, &command);
		int error = n < 4 ? -EINVAL : make_file((char *)command.bytes, command.a[1], command.a[2], (int)command.a[3]);

		if (error)
			printf("! file %s: %s\n", command.bytes, strerror(-error));
	} else if (!strncmp(line, "mount ", 6)) {
		struct command command = {0};
		int n = read_arguments(line + 6, &command);
		int error = n < 2 ? -EINVAL : mount_tmpfs((char *)command.bytes, command.a[1], command.a[2]);

		if (error)
			printf("! mount %s: %s\n", command.bytes, strerror(-error));
		else {
			printf("R 0 0 0 0 0 0\n");
			observe(fd_limit);
		}
	} else if (!strncmp(line, "mount_huge ", 11) || !strncmp(line, "umount ", 7)) {
		struct command command = {0};
		int up = line[0] == 'm', n = read_arguments(line + (up ? 11 : 7), &command);
		const char *at_name = (char *)command.bytes;
		long error = n < (up ? 3 : 1) ? -EINVAL
			     : up	      ? mount_hugetlbfs(at_name, (long)command.a[1], (long)command.a[2])
					      : umount_at(at_name);

		printf("R 0 %lx 0 0 0 0\n", -error);
		observe(fd_limit);
	} else if (sscanf(line, "ksm_%31s %d", name, &number) == 2) {
		machine(line[4] == 's' ? "ksm_scan" : "ksm_use_zero_pages", number);
	} else if (sscanf(line, "drop_caches %d", &number) == 1) {
		machine("drop_caches", number);
	} else if (sscanf(line, "khugepaged_scan %d", &number) == 1) {
		machine("khugepaged_scan", number);
	} else if (sscanf(line, "lost_hugepages %d", &number) == 1) {
		lost_hugepages = number;
	} else if (sscanf(line, "nr_hugepages %d", &number) == 1) {
		machine("nr_hugepages", number);
	} else if (sscanf(line, "nr_overcommit_hugepages %d", &number) == 1) {
		machine("nr_overcommit_hugepages", number);
	} else if (sscanf(line, "%d %31s %n", &task, name, &at) >= 2) {
		perform(task, name, line + at);
	} else {
		printf("! not a command: %s\n", line);
	}
	printf(".\n");
	return 1;
}

static void prepare(char **argv)
{
	struct rlimit files = {4096, 4096}, stack = {8 << 20, 8 << 20}, none = {RLIM_INFINITY, RLIM_INFINITY};

	/* Limits of the model's machine. Where mappings are placed depends on the stack's at exec. */
	setrlimit(RLIMIT_STACK, &stack);
	setrlimit(RLIMIT_AS, &none);
	/* Page tables of the runtime would differ from run to run. */
	if (!(personality(0xffffffff) & ADDR_NO_RANDOMIZE)) {
		personality(ADDR_NO_RANDOMIZE);
		execv("/proc/self/exe", argv);
	}
	cpu = (unsigned)atoi(argv[2]);
	use_cpu(cpu);
	setrlimit(RLIMIT_NOFILE, &files);
	directory = argv[3];
	own_mounts = unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
	scratch = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	madvise(scratch, PAGE, MADV_DONTFORK);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
}

int main(int argc, char **argv)
{
	static char line[8192];
	char *out;
	const char *blind = "not asked for";

	if (argc > 2 && !strcmp(argv[1], "guard"))
		return guard_main(argc - 1, argv + 1);
	if (argc != 5 || strcmp(argv[1], "run")) {
		fprintf(stderr, "agent run CPU DIRECTORY LAYOUT\n");
		return 2;
	}
	prepare(argv);
	out = mmap(NULL, OUT_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	madvise(out, OUT_BYTES, MADV_DONTFORK);
	setvbuf(stdout, out, _IOFBF, OUT_BYTES);
	if (observe_open() < 0) {
		printf("! /proc/kpageflags cannot be read: %s\n.\n", strerror(errno));
		return 4;
	}
	if (strcmp(argv[4], "-")) {
		deep = km_open(argv[4]) == 0 && km_move_descriptor(OBSERVER_FD) == 0;
		blind = deep ? "" : km_error();
	}
	printf("deep %d %s\n.\n", deep, blind);
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		if (!command_line(line))
			break;
		fflush(stdout);
	}
	ksm_end();
	khugepaged_end();
	kill_tasks();
	remove_files();
	return 0;
}
