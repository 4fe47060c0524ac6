/* Shared by the parts of the native agent: the protocol between observer and tasks, and limits. See agent.c for the commands. */
#ifndef FOLIOSCOPE_AGENT_H
#define FOLIOSCOPE_AGENT_H

#include <stdint.h>

/* Tasks of one workload, numbered as the workload numbers them, from 1; and how many may live at a time. */
#define TASKS_MAX 64
#define LIVING_MAX 8
/* Tested mappings lie in [ARENA_START, ARENA_END): 16 to 17 TiB, page tables of their own. */
#define ARENA_START 0x100000000000ULL
#define ARENA_END 0x110000000000ULL
/* Descriptors of the agent itself; those of a workload count from 3. */
#define AGENT_FD 900
/* Those of the observer, above the ends of all sockets. */
#define OBSERVER_FD (AGENT_FD + 2 * (TASKS_MAX + 1))
#define PAGE 4096UL
#define PATH_BYTES 256

enum task_op {
	OP_SYSCALL = 1,
	OP_LOAD,
	OP_STORE,
	OP_TOUCH,
	OP_CLONE,
	OP_CPU,
	OP_WAIT,
	OP_PIPE,
	OP_VMSPLICE,
	OP_VM_READV,
	OP_VM_WRITEV,
	OP_PTRACE,
	OP_CLEAR_REFS,
	OP_RING_SETUP,
	OP_RING_REGISTER,
	OP_RING_FIXED,
	OP_RING_BUFFERS,
	OP_MOVE_PAGES,
	OP_UFFD_OPEN,
	OP_UFFD_IOCTL,
	OP_UFFD_READ,
	OP_POLL,
};

/* What the observer asks of a task. `bytes` goes where an argument is BYTES_ARGUMENT. */
#define BYTES_ARGUMENT 0xb17e5b17e5b17e5ULL
/* Messages that one read of a userfaultfd may give. */
#define UFFD_MESSAGES_MAX 4
struct command {
	uint64_t op;
	uint64_t a[8];
	unsigned char bytes[PATH_BYTES];
};

/* How it ended. `sig` nonzero: the access raised that signal. `extra` depends on the operation. */
struct reply {
	int64_t ret;
	int32_t err, sig, code, pid;
	uint64_t addr, extra, mm;
	uint64_t messages[UFFD_MESSAGES_MAX][4]; /* of OP_UFFD_READ: event, flags, address, task; `extra` says how many */
};

/* Socket ends of task `i`, made before the first task. */
static inline int observer_end(int i) { return AGENT_FD + i; }
static inline int task_end(int i) { return AGENT_FD + TASKS_MAX + 1 + i; }

/* task.c: becomes the first task; never returns. */
_Noreturn void first_task(int number);

/* observe.c */
struct task {
	int alive, pid, tgid;
	int slot; /* of its stacks */
	int polls; /* its operation is poll(2) */
	int owner; /* the lowest task that shares its mm, itself if none */
	int asleep; /* in the middle of an operation, until somebody resolves a fault, reads of an event or gives it something to read */
	uint64_t asleep_op, child, child_flags, child_slot; /* which, and of a fork the task that it is to make */
	int pidfd, pagemap, smaps, status, stat, fds;
	uint64_t mm;
};
extern struct task tasks[TASKS_MAX + 1];
extern int deep; /* page tables and struct pages can be read */
int observe_open(void);
int observe_attach(int i, int slot, int pid, int tgid, int owner, uint64_t mm);
void observe_detach(int i);
void observe(int fd_limit);
void observe_written(void);

/* ksm.c */
extern int ksm_used; /* this workload is about KSM: its counters are printed */
int ksm_start(void);
void ksm_end(void);
int ksm_scan(int scans);
int ksm_use_zero_pages(int on);
void ksm_print_task(int i);
void ksm_print_machine(void);

/* khugepaged.c */
int khugepaged_scan(void);
void khugepaged_end(void);

#endif
