/*
 * A task of the workload: a real process or thread that executes one operation on command.
 *
 * Its own memory must not disturb what is tested: everything it needs is mapped and populated beforehand, after each fork again, so that
 * later faults are those of the operations. No libc function that allocates or locks is called after the first fork.
 */
#define _GNU_SOURCE
#include "agent.h"
#include "kernel-memory.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#define TOP_OF_MAPPINGS 0x7ffff7fff000ULL
#define RUNTIME_MAX 32
#define STACK_BYTES 8192
#define SIGNAL_STACK_BYTES 16384

static struct {
	uint64_t start, end;
	int writable;
} runtime[RUNTIME_MAX];
static int n_runtime;

static unsigned char thread_stacks[LIVING_MAX][STACK_BYTES] __attribute__((aligned(4096)));
static unsigned char signal_stacks[LIVING_MAX][SIGNAL_STACK_BYTES] __attribute__((aligned(4096)));
static unsigned char buffer[16384] __attribute__((aligned(4096)));

/* One task of an address space acts at a time, so threads may share these. */
static sigjmp_buf landing;
static volatile int armed;
static volatile int caught_signal, caught_code;
static volatile uint64_t caught_addr;

static _Noreturn void task_loop(int me);

static void on_signal(int signal, siginfo_t *info, void *context)
{
	(void)context;
	if (!armed)
		_exit(99);
	caught_signal = signal;
	caught_code = info->si_code;
	caught_addr = (uint64_t)info->si_addr;
	siglongjmp(landing, 1);
}

static void use_signal_stack(int slot)
{
	stack_t stack = {.ss_sp = signal_stacks[slot], .ss_size = SIGNAL_STACK_BYTES};

	sigaltstack(&stack, NULL);
}

/* Takes down which mappings are the agent's own, and closes the room above the arena: the kernel then places mappings below its end. */
static void settle(void)
{
	static char maps[16384];
	static volatile char deep_stack_probe;
	volatile char stack_pages[16384];
	uint64_t next = ARENA_END;
	int reserve = memfd_create("reserve", 0);
	int fd = open("/proc/self/maps", O_RDONLY);
	size_t n = 0;
	ssize_t got;

	for (size_t i = 0; i < sizeof(stack_pages); i += PAGE)
		stack_pages[i] = deep_stack_probe;
	while ((got = read(fd, maps + n, sizeof(maps) - 1 - n)) > 0)
		n += got;
	close(fd);
	maps[n] = 0;
	for (char *line = maps; *line; line = strchr(line, '\n') + 1) {
		char *rest;
		uint64_t start = strtoull(line, &rest, 16), end = strtoull(rest + 1, &rest, 16);
		int special = strstr(rest, "[v") && strstr(rest, "[v") < strchr(rest, '\n');

		if (!special && rest[1] == 'r' && n_runtime < RUNTIME_MAX) {
			runtime[n_runtime].start = start;
			runtime[n_runtime].end = end;
			runtime[n_runtime++].writable = rest[2] == 'w';
		}
		if (start > next && next < TOP_OF_MAPPINGS) {
			uint64_t to = start < TOP_OF_MAPPINGS ? start : TOP_OF_MAPPINGS;

			/* A shared file: it merges with nothing and charges nothing. */
			mmap((void *)next, to - next, PROT_NONE, MAP_SHARED | MAP_FIXED_NOREPLACE, reserve, 0);
		}
		if (end > next)
			next = end;
	}
	if (next < TOP_OF_MAPPINGS)
		mmap((void *)next, TOP_OF_MAPPINGS - next, PROT_NONE, MAP_SHARED | MAP_FIXED_NOREPLACE, reserve, 0);
	close(reserve);
}

static void populate(void)
{
	for (int i = 0; i < n_runtime; i++)
		madvise((void *)runtime[i].start, runtime[i].end - runtime[i].start,
			runtime[i].writable ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
}

static void greet(int me)
{
	struct reply hello = {.pid = (int32_t)syscall(SYS_gettid)};

	hello.mm = km_current_mm();
	if (write(task_end(me), &hello, sizeof(hello)) != sizeof(hello))
		_exit(98);
}

static int thread_main(void *argument)
{
	int me = (int)((intptr_t)argument >> 8);

	use_signal_stack((int)((intptr_t)argument & 0xff));
	greet(me);
	task_loop(me);
}

/* fork, clone without and with a shared address space. Returns the child's number in the kernel. */
static int64_t clone_task(int child, uint64_t flags, int slot)
{
	long pid;

	if (flags & CLONE_VM)
		return clone(thread_main, thread_stacks[slot] + STACK_BYTES, (int)flags,
			     (void *)(intptr_t)(child << 8 | slot));
	pid = syscall(SYS_clone, flags, 0, 0, 0, 0);
	if (pid == 0) {
		populate();
		greet(child);
		task_loop(child);
	}
	if (pid > 0)
		populate();
	return pid;
}

static int64_t load(const volatile unsigned char *from, uint64_t length, uint64_t *mixed)
{
	unsigned char first = from[0];

	for (uint64_t i = 1; i < length; i++)
		if (from[i] != first)
			*mixed = 1;
	return first;
}

static int64_t perform(const struct command *command, uint64_t *extra)
{
	uint64_t a[8];

	for (int i = 0; i < 8; i++)
		a[i] = command->a[i] == BYTES_ARGUMENT ? (uint64_t)command->bytes : command->a[i];
	switch (command->op) {
	case OP_SYSCALL:
		if (a[0] == SYS_mincore)
			a[3] = (uint64_t)buffer;
		return syscall((long)a[0], a[1], a[2], a[3], a[4], a[5], a[6]);
	case OP_LOAD:
		return load((unsigned char *)a[0], a[1], extra);
	case OP_STORE:
		for (uint64_t i = 0; i < a[2]; i++)
			((volatile unsigned char *)a[0])[i] = (unsigned char)a[1];
		return 0;
	case OP_TOUCH:
		if (a[1])
			__atomic_fetch_or((unsigned char *)a[0], 0, __ATOMIC_SEQ_CST);
		else
			*extra = *(volatile unsigned char *)a[0];
		return 0;
	case OP_CLONE:
		return clone_task((int)a[0], a[1], (int)a[2]);
	case OP_WAIT: {
		int status;

		return syscall(SYS_wait4, (int64_t)a[0], &status, WNOHANG, 0);
	}
	case OP_CPU: {
		cpu_set_t cpus;

		CPU_ZERO(&cpus);
		CPU_SET(a[0], &cpus);
		return sched_setaffinity(0, sizeof(cpus), &cpus);
	}
	}
	errno = ENOSYS;
	return -1;
}

static _Noreturn void task_loop(int me)
{
	for (;;) {
		struct command command;
		struct reply reply;

		/* The observer's end closes with the observer. */
		if (read(task_end(me), &command, sizeof(command)) != sizeof(command))
			syscall(SYS_exit_group, 0);
		memset(&reply, 0, sizeof(reply));
		if (sigsetjmp(landing, 0) == 0) {
			uint64_t extra = 0;

			armed = 1;
			errno = 0;
			reply.ret = perform(&command, &extra);
			reply.err = reply.ret == -1 ? errno : 0;
			reply.extra = extra;
		} else {
			reply.ret = -1;
			reply.sig = caught_signal;
			reply.code = caught_code;
			reply.addr = caught_addr;
		}
		armed = 0;
		if (write(task_end(me), &reply, sizeof(reply)) != sizeof(reply))
			syscall(SYS_exit_group, 0);
	}
}

_Noreturn void first_task(int number)
{
	struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
	int null = open("/dev/null", O_RDWR);

	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	for (int fd = 3; fd < AGENT_FD; fd++)
		close(fd);
	for (int i = 0; i <= TASKS_MAX; i++)
		close(observer_end(i));
	signal(SIGINT, SIG_IGN);
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	use_signal_stack(0);
	settle();
	populate();
	greet(number);
	task_loop(number);
}
