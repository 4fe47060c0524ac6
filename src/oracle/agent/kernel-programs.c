/* See kernel-programs.h. */
#define _GNU_SOURCE
#include "kernel-programs.h"
#include "kernel-memory.h"
#include <errno.h>
#include <linux/bpf.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

struct window *window;
static int map_fd = -1;
static char problem[512];

int fail(int error, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(problem, sizeof(problem), format, list);
	va_end(list);
	return -error;
}

const char *km_error(void)
{
	return problem;
}

static long bpf(int command, union bpf_attr *attr)
{
	return syscall(SYS_bpf, command, attr, sizeof(*attr));
}

#define INSN(c, d, s, o, i) ((struct bpf_insn){ .code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i) })
#define MOV_REG(d, s) INSN(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define MOV_IMM(d, i) INSN(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define ADD_REG(d, s) INSN(BPF_ALU64 | BPF_ADD | BPF_X, d, s, 0, 0)
#define ADD_IMM(d, i) INSN(BPF_ALU64 | BPF_ADD | BPF_K, d, 0, 0, i)
#define SHL_IMM(d, i) INSN(BPF_ALU64 | BPF_LSH | BPF_K, d, 0, 0, i)
#define SHR_REG(d, s) INSN(BPF_ALU64 | BPF_RSH | BPF_X, d, s, 0, 0)
#define LOAD(d, s, o) INSN(BPF_LDX | BPF_MEM | BPF_DW, d, s, o, 0)
#define STORE(d, s, o) INSN(BPF_STX | BPF_MEM | BPF_DW, d, s, o, 0)
#define JUMP(o) INSN(BPF_JMP | BPF_JA, 0, 0, o, 0)
#define JUMP_NE(d, i, o) INSN(BPF_JMP | BPF_JNE | BPF_K, d, 0, o, i)
#define JUMP_GT(d, i, o) INSN(BPF_JMP | BPF_JGT | BPF_K, d, 0, o, i)
#define JUMP_GE_REG(d, s, o) INSN(BPF_JMP | BPF_JGE | BPF_X, d, s, o, 0)
#define CALL(f) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, f)
#define EXIT_PROGRAM INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
/* Address of the byte at `o` of the map's value; two instructions. */
#define WINDOW_AT(d, o) INSN(BPF_LD | BPF_DW | BPF_IMM, d, BPF_PSEUDO_MAP_VALUE, 0, map_fd), INSN(0, 0, 0, 0, o)

static int load(const char *what, const struct bpf_insn *code, unsigned n)
{
	static char log[4096];
	union bpf_attr attr;
	long fd;
	size_t length;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_RAW_TRACEPOINT;
	attr.insns = (uintptr_t)code;
	attr.insn_cnt = n;
	attr.license = (uintptr_t) "GPL"; /* bpf_probe_read_kernel is for GPL programs only */
	snprintf(attr.prog_name, sizeof(attr.prog_name), "km_%s", what);
	fd = bpf(BPF_PROG_LOAD, &attr);
	if (fd >= 0)
		return (int)fd;
	if (errno == EPERM)
		return fail(EPERM, "bpf(2) is refused: reading kernel memory needs root and a kernel not locked down for confidentiality");
	if (errno == ENOSYS)
		return fail(ENOSYS, "this kernel has no bpf(2)");
	attr.log_buf = (uintptr_t)log;
	attr.log_size = sizeof(log);
	attr.log_level = 1;
	fd = bpf(BPF_PROG_LOAD, &attr);
	if (fd >= 0)
		return (int)fd;
	/* The reason stands at the end, above a line of statistics. */
	length = strlen(log);
	return fail(errno, "the kernel does not accept the BPF program '%s' (%s): %.300s", what, strerror(errno),
		    log + (length > 300 ? length - 300 : 0));
}

int run(int fd, const uint64_t *args, unsigned n, uint32_t *result)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.test.prog_fd = (uint32_t)fd;
	attr.test.ctx_in = (uintptr_t)args;
	attr.test.ctx_size_in = n * 8;
	if (bpf(BPF_PROG_TEST_RUN, &attr) < 0)
		return -errno;
	*result = attr.test.retval;
	return 0;
}

/* Arguments: address, or 0 for the current task; what to add to it; how far to shift the word found there. */
int load_word(void)
{
	const struct bpf_insn code[] = {
		MOV_REG(6, 1),
		LOAD(3, 6, 0),
		JUMP_NE(3, 0, 2),
		CALL(BPF_FUNC_get_current_task),
		MOV_REG(3, 0),
		LOAD(2, 6, 8),
		ADD_REG(3, 2),
		MOV_REG(1, 10),
		ADD_IMM(1, -8),
		MOV_IMM(2, 8),
		CALL(BPF_FUNC_probe_read_kernel), /* clears the word where it fails */
		LOAD(0, 10, -8),
		LOAD(2, 6, 16),
		INSN(BPF_ALU64 | BPF_AND | BPF_K, 2, 0, 0, 63),
		SHR_REG(0, 2),
		EXIT_PROGRAM,
	};

	return load("word", code, sizeof(code) / sizeof(code[0]));
}

/* Argument: address of the page. */
int load_table(void)
{
	const struct bpf_insn code[] = {
		LOAD(3, 1, 0),
		WINDOW_AT(1, offsetof(struct window, table)),
		MOV_IMM(2, PAGE),
		CALL(BPF_FUNC_probe_read_kernel),
		EXIT_PROGRAM,
	};

	return load("table", code, sizeof(code) / sizeof(code[0]));
}

/* Arguments: address of the first page; bytes. */
int load_bytes(void)
{
	const struct bpf_insn code[] = {
		LOAD(3, 1, 0),
		LOAD(2, 1, 8),
		JUMP_GT(2, KM_BYTES_MAX * PAGE, 4), /* for the verifier */
		WINDOW_AT(1, offsetof(struct window, bytes)),
		CALL(BPF_FUNC_probe_read_kernel),
		EXIT_PROGRAM,
		MOV_IMM(0, -1),
		EXIT_PROGRAM,
	};

	return load("bytes", code, sizeof(code) / sizeof(code[0]));
}

/* Argument: number of pieces. */
int load_batch(void)
{
	const struct bpf_insn code[] = {
		LOAD(7, 1, 0),
		WINDOW_AT(8, 0),
		MOV_IMM(9, 0),
		/* loop */
		JUMP_GE_REG(9, 7, 18),
		JUMP_GT(9, PIECES_MAX - 1, 17), /* for the verifier */
		MOV_REG(2, 9),
		SHL_IMM(2, 3),
		ADD_REG(2, 8),
		LOAD(3, 2, offsetof(struct window, from)),
		MOV_REG(1, 9),
		SHL_IMM(1, 6),
		ADD_REG(1, 8),
		ADD_IMM(1, offsetof(struct window, piece)),
		MOV_IMM(2, PIECE),
		CALL(BPF_FUNC_probe_read_kernel),
		MOV_REG(2, 9),
		SHL_IMM(2, 3),
		ADD_REG(2, 8),
		ADD_IMM(2, offsetof(struct window, status)),
		STORE(2, 0, 0),
		ADD_IMM(9, 1),
		JUMP(-19),
		MOV_IMM(0, 0),
		EXIT_PROGRAM,
	};

	return load("batch", code, sizeof(code) / sizeof(code[0]));
}

int create_window(void)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = BPF_MAP_TYPE_ARRAY;
	attr.key_size = 4;
	attr.value_size = sizeof(struct window);
	attr.max_entries = 1;
	attr.map_flags = BPF_F_MMAPABLE;
	memcpy(attr.map_name, "km_window", 10);
	map_fd = (int)bpf(BPF_MAP_CREATE, &attr);
	if (map_fd < 0) {
		if (errno == EPERM)
			return fail(EPERM, "bpf(2) is refused: reading kernel memory needs root");
		return fail(errno, "cannot create the BPF map: %s", strerror(errno));
	}
	window = mmap(NULL, sizeof(struct window), PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
	if (window == MAP_FAILED) {
		window = NULL;
		return fail(errno, "cannot map the BPF map: %s", strerror(errno));
	}
	madvise(window, sizeof(struct window), MADV_DONTFORK);
	return 0;
}

void destroy_window(int mapped)
{
	if (window && mapped)
		munmap(window, sizeof(*window));
	window = NULL;
	if (map_fd >= 0)
		close(map_fd);
	map_fd = -1;
}

void *scratch(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED) {
		fail(errno, "no memory: %s", strerror(errno));
		return NULL;
	}
	madvise(memory, size, MADV_DONTFORK);
	return memory;
}
