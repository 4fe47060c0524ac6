/*
 * Looking at the tasks: status, smaps, pagemap, kpageflags, kpagecount, descriptors, and page tables where the kernel's memory can be read.
 *
 *   T task RssAnon RssFile RssShmem VmSwap VmLck VmPTE VmSize faults            (kB but for the faults; for each task with its own mm)
 *   S task owner faults                                                        (shares the mm of `owner`)
 *   V task start end perms pgoff major:minor inode NAME|Rss .. Locked|VmFlags    (values of smaps in the order of SMAPS, kB)
 *   P task addr[+n] pagemap kpageflags kpagecount [entry level flags order refcount mapcount large entire pincount shared digest]
 *     of n pages in a row that differ in nothing but frame or slot: those of the first stand there, the others' follow each other
 *   F task fd major:minor inode size blocks free                               (blocks: of tmpfs; free: of one with a size)
 *   X task fd pending total features                                           (of a userfaultfd: faults not read of, all that wait, hexadecimal)
 *   H total free reserved surplus                                              (huge pages of the default size)
 *   K and M                                                                    see ksm.c
 *
 * Numbers are hexadecimal but for those of T, S, V's values, F's size and blocks and H. `-` stands for what cannot be seen.
 */
#define _GNU_SOURCE
#include "agent.h"
#include "kernel-memory.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif
#define TEXT_BYTES (1 << 20)
#define ENTRIES_MAX 65536
#define RANGES_MAX 4096
#define SEEN_MAX 4096
#define OPEN_MAX AGENT_FD
#define KPF_WRITEBACK (1ULL << 8)
#define WRITEBACK_MS_MAX 2000
#define PM_PRESENT (1ULL << 63)
#define PM_PFN ((1ULL << 55) - 1)
/* Type of what pagemap calls swapped: a swap area, or 31 for markers. */
#define PM_TYPE 31ULL
#define PM_MARKER 31ULL
#define KPF_ZERO_PAGE (1ULL << 24)
#define PM_SWAPPED (1ULL << 62)
/* A slot further on in pagemap: below it stands the number of the swap area. */
#define PM_SLOT (1ULL << 5)
#define LEVEL_PMD 2
/* Pages of which the kernel is asked at a time, and pages whose sums are remembered. */
#define AHEAD_MAX 512
#define DIGESTS 8192
/* Of a present entry: where it leads. Of a swap entry: what is not its slot. */
#define PTE_FRAME 0x000ffffffffff000ULL
#define PTE_SWAP_FLAGS 0x3fffULL

static const char *const SMAPS[] = {"Rss", "Pss", "Shared_Clean", "Shared_Dirty", "Private_Clean", "Private_Dirty", "Anonymous",
	"KSM", "LazyFree", "AnonHugePages", "ShmemPmdMapped", "FilePmdMapped", "Shared_Hugetlb", "Private_Hugetlb", "Swap", "SwapPss",
	"Locked"};
#define N_SMAPS (sizeof(SMAPS) / sizeof(SMAPS[0]))

struct task tasks[TASKS_MAX + 1];
int deep;

/* The sum over the bytes of a frame, as of observation `round`. */
struct known {
	uint64_t pfn;
	unsigned round;
	uint32_t digest;
};

/* Large buffers: tasks are forked from this process and shall not inherit them. */
static struct buffers {
	char text[TEXT_BYTES];
	uint64_t pagemap[ENTRIES_MAX];
	uint64_t ranges[RANGES_MAX][2];
	struct km_entry parts[KM_PAGES_MAX];
	unsigned char last[PAGE]; /* bytes of the page that was summed up last */
	struct known digests[DIGESTS];
	uint64_t flags[AHEAD_MAX], counts[AHEAD_MAX];
	uint64_t seen[SEEN_MAX]; /* frames of the last observation */
	int n_seen;
	short open[TASKS_MAX + 1][OPEN_MAX]; /* descriptors, in order */
	int n_open[TASKS_MAX + 1];
} *own;
static int kpageflags = -1, kpagecount = -1;

static int high_fd(int fd)
{
	int high = fd < 0 ? fd : fcntl(fd, F_DUPFD_CLOEXEC, OBSERVER_FD);

	if (fd >= 0)
		close(fd);
	return high;
}

static int open_of(int pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	return high_fd(open(path, O_RDONLY));
}

int observe_open(void)
{
	own = mmap(NULL, sizeof(*own), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (own == MAP_FAILED)
		return -1;
	madvise(own, sizeof(*own), MADV_DONTFORK);
	kpageflags = high_fd(open("/proc/kpageflags", O_RDONLY));
	kpagecount = high_fd(open("/proc/kpagecount", O_RDONLY));
	return kpageflags >= 0 && kpagecount >= 0 ? 0 : -1;
}

int observe_attach(int i, int slot, int pid, int tgid, int owner, uint64_t mm)
{
	struct task *t = &tasks[i];

	*t = (struct task){.alive = 1, .slot = slot, .pid = pid, .tgid = tgid, .owner = owner, .mm = mm};
	t->pagemap = open_of(pid, "pagemap");
	t->smaps = open_of(pid, "smaps");
	t->status = open_of(pid, "status");
	t->fds = open_of(pid, "fd");
	/* Faults of the very task, not of its thread group. */
	char name[64];

	snprintf(name, sizeof(name), "task/%d/stat", pid);
	t->stat = open_of(pid, name);
	t->pidfd = high_fd((int)syscall(SYS_pidfd_open, pid, tgid == pid ? 0 : PIDFD_THREAD));
	return t->pagemap >= 0 && t->pidfd >= 0 ? 0 : -1;
}

void observe_detach(int i)
{
	struct task *t = &tasks[i];
	int heir = 0;

	t->alive = 0;
	close(t->pagemap);
	close(t->smaps);
	close(t->status);
	close(t->stat);
	close(t->fds);
	close(t->pidfd);
	/* Another task carries on the address space. */
	for (int j = 1; j <= TASKS_MAX; j++)
		if (tasks[j].alive && tasks[j].owner == i) {
			if (!heir)
				heir = j;
			tasks[j].owner = heir;
		}
}

/* What `fd` says from its beginning on, up to the portion that `enough` says is the last one needed; NULL: all of it. */
static const char *slurp_until(int fd, int (*enough)(const char *portion))
{
	size_t n = 0;
	ssize_t got;

	lseek(fd, 0, SEEK_SET);
	while (n < TEXT_BYTES - 1 && (got = read(fd, own->text + n, TEXT_BYTES - 1 - n)) > 0) {
		own->text[n + got] = 0;
		if (enough && enough(own->text + n))
			return own->text;
		n += got;
	}
	own->text[n] = 0;
	return own->text;
}

static const char *slurp(int fd)
{
	return slurp_until(fd, NULL);
}

/* Does a line of smaps tell where a mapping lies? The others begin with a capital. */
static int is_place(const char *line)
{
	return (line[0] >= '0' && line[0] <= '9') || (line[0] >= 'a' && line[0] <= 'f');
}

/* Is the last mapping of this portion of smaps, which has whole ones, behind the arena? */
static int behind_arena(const char *portion)
{
	for (const char *at = portion + strlen(portion); at > portion; at--)
		if (at[-1] == '\n' && is_place(at))
			return strtoull(at, NULL, 16) >= ARENA_END;
	return is_place(portion) && strtoull(portion, NULL, 16) >= ARENA_END;
}

static long field(const char *from, const char *name)
{
	const char *at = strstr(from, name);

	/* HugePages_Rsvd may be below zero, and is printed as if it were not. */
	return at ? (long)strtoul(at + strlen(name), NULL, 10) : 0;
}

static long faults_of(const struct task *t)
{
	long minor = 0, major = 0;
	const char *at = strrchr(slurp(t->stat), ')');

	if (at)
		sscanf(at + 2, "%*c %*d %*d %*d %*d %*d %*u %ld %*u %ld", &minor, &major);
	return minor + major;
}

static void print_task(int i)
{
	const struct task *t = &tasks[i];
	long faults = faults_of(t);
	const char *status;

	if (t->owner != i) {
		printf("S %d %d %ld\n", i, t->owner, faults);
		return;
	}
	status = slurp(t->status);
	printf("T %d %ld %ld %ld %ld %ld %ld %ld %ld\n", i, field(status, "RssAnon:"), field(status, "RssFile:"),
	       field(status, "RssShmem:"), field(status, "VmSwap:"), field(status, "VmLck:"), field(status, "VmPTE:"),
	       field(status, "VmSize:"), faults);
}

static uint64_t word_at(int fd, uint64_t index)
{
	uint64_t value = 0;

	return pread(fd, &value, 8, (off_t)(index * 8)) == 8 ? value : 0;
}

/* Bytes of a page, as one number; 0 for zeros. The same sum is made of what the model holds. */
static uint32_t sum_of(const uint32_t *words)
{
	uint32_t sum = 0x811c9dc5, any = 0;

	for (int i = 0; i < 1024; i++) {
		sum = (sum ^ words[i]) * 0x01000193;
		any |= words[i];
	}
	return any ? (sum ? sum : 1) : 0;
}

/* The same; of bytes that are those of the page before it was made then. */
static uint32_t digest_of(const unsigned char *bytes)
{
	static uint32_t digest;
	static int known;

	if (!known || memcmp(bytes, own->last, PAGE)) {
		memcpy(own->last, bytes, PAGE);
		digest = sum_of((const uint32_t *)(const void *)bytes);
		known = 1;
	}
	return digest;
}

static unsigned rounds;

/* Sums of `n` frames in a row. -1 where their bytes cannot be read. */
static int learn_digests(uint64_t pfn, unsigned n)
{
	const unsigned char *bytes = km_bytes(pfn, n);

	for (unsigned k = 0; bytes && k < n; k++)
		own->digests[(pfn + k) % DIGESTS] = (struct known){.pfn = pfn + k, .round = rounds, .digest = digest_of(bytes + k * PAGE)};
	return bytes ? 0 : -1;
}

struct printing {
	int task;
	uint64_t start, next, pages; /* next: index of the first page not printed yet */
	uint64_t flags_pfn; /* first of the frames that own->flags and own->counts tell of, */
	unsigned n_flags; /* and how many they are */
};

/* All that is printed of a page. */
struct line {
	uint64_t pagemap, kpageflags, kpagecount, entry;
	int level; /* 0: the page tables were not read */
	int has_page, order, refcount, mapcount, large_mapcount, entire_mapcount, pincount, mm_shared, has_digest;
	unsigned flags;
	uint32_t digest;
};

/* Pages in a row that differ in nothing but frame or slot, not printed yet. */
static struct {
	struct line first;
	uint64_t addr, count;
	int task;
} row;

static void print_seen(int value)
{
	if (value == KM_UNSEEN)
		printf(" -");
	else
		printf(" %d", value);
}

static void print_row(void)
{
	const struct line *l = &row.first;

	if (!row.count)
		return;
	printf("P %d %lx", row.task, row.addr);
	if (row.count > 1)
		printf("+%lx", row.count);
	printf(" %lx", l->pagemap);
	if (l->pagemap & PM_PRESENT)
		printf(" %lx %lx", l->kpageflags, l->kpagecount);
	else
		printf(" - -");
	row.count = 0;
	if (!l->level) {
		putchar('\n');
		return;
	}
	printf(" %lx %d", l->entry, l->level);
	if (!l->has_page) {
		printf(" - - - - - - - - -\n");
		return;
	}
	printf(" %x %d", l->flags, l->order);
	print_seen(l->refcount);
	print_seen(l->mapcount);
	print_seen(l->large_mapcount);
	print_seen(l->entire_mapcount);
	print_seen(l->pincount);
	print_seen(l->mm_shared);
	if (l->has_digest)
		printf(" %x\n", l->digest);
	else
		printf(" -\n");
}

/* Is `l` what the row's first line becomes `n` pages further on? */
static int goes_on(const struct line *l, uint64_t n)
{
	struct line expected = row.first;
	uint64_t entry = l->entry, moving = PTE_FRAME;

	if ((expected.pagemap & PM_PRESENT) && (expected.kpageflags & KPF_ZERO_PAGE))
		/* Which part of the zero page it is says nothing. */
		expected.pagemap = (expected.pagemap & ~PM_PFN) | (l->pagemap & PM_PFN);
	else if (expected.pagemap & PM_PRESENT)
		expected.pagemap += n;
	else if ((expected.pagemap & PM_SWAPPED) && (expected.pagemap & PM_TYPE) != PM_MARKER) {
		expected.pagemap += n * PM_SLOT;
		moving = ~PTE_SWAP_FLAGS;
	} else
		moving = 0;
	/* Where the entry leads pagemap says as well; one that is huge leads to all its pages. */
	if ((entry ^ expected.entry) & ~moving)
		return 0;
	expected.entry = entry;
	return !memcmp(&expected, l, sizeof(expected));
}

static void put_line(const struct printing *p, uint64_t index, const struct line *l)
{
	uint64_t addr = p->start + index * (uint64_t)PAGE;

	if (row.count && row.task == p->task && addr == row.addr + row.count * PAGE && goes_on(l, row.count)) {
		row.count++;
		return;
	}
	print_row();
	row.first = *l;
	row.addr = addr;
	row.count = 1;
	row.task = p->task;
}

/* Frames in a row that pagemap shows from `index` on. */
static unsigned frames_ahead(const struct printing *p, uint64_t index)
{
	uint64_t pfn = own->pagemap[index] & PM_PFN;
	unsigned n = 1;

	while (n < AHEAD_MAX && index + n < p->pages && (own->pagemap[index + n] & PM_PRESENT) && (own->pagemap[index + n] & PM_PFN) == pfn + n)
		n++;
	return n;
}

/* The sum of the frame at `index`; where it is not known yet, those of the frames behind it are made as well. */
static int digest_at(const struct printing *p, uint64_t index, uint32_t *digest)
{
	uint64_t pfn = own->pagemap[index] & PM_PFN;
	const struct known *known = &own->digests[pfn % DIGESTS];

	if (known->pfn != pfn || known->round != rounds) {
		unsigned n = frames_ahead(p, index);

		if (learn_digests(pfn, n < KM_BYTES_MAX ? n : KM_BYTES_MAX) < 0 && learn_digests(pfn, 1) < 0)
			return -1;
	}
	*digest = known->digest;
	return 0;
}

/* kpageflags and kpagecount of the page at `index`; the kernel is asked of those behind it as well. */
static void read_flags(struct printing *p, uint64_t index, struct line *l)
{
	uint64_t pfn = l->pagemap & PM_PFN;

	if (!p->n_flags || pfn < p->flags_pfn || pfn >= p->flags_pfn + p->n_flags) {
		unsigned n = frames_ahead(p, index);
		size_t bytes = n * 8;

		p->n_flags = n;
		p->flags_pfn = pfn;
		if (pread(kpageflags, own->flags, bytes, (off_t)(pfn * 8)) != (ssize_t)bytes ||
		    pread(kpagecount, own->counts, bytes, (off_t)(pfn * 8)) != (ssize_t)bytes) {
			p->n_flags = 0;
			l->kpageflags = word_at(kpageflags, pfn);
			l->kpagecount = word_at(kpagecount, pfn);
			return;
		}
	}
	l->kpageflags = own->flags[pfn - p->flags_pfn];
	l->kpagecount = own->counts[pfn - p->flags_pfn];
}

static void take_pagemap(struct printing *p, uint64_t index, struct line *l)
{
	/* Compared as a whole. */
	memset(l, 0, sizeof(*l));
	l->pagemap = own->pagemap[index];
	if (!(l->pagemap & PM_PRESENT))
		return;
	if (own->n_seen < SEEN_MAX)
		own->seen[own->n_seen++] = l->pagemap & PM_PFN;
	read_flags(p, index, l);
}

static void print_plain_until(struct printing *p, uint64_t end)
{
	struct line l;

	for (; p->next < end; p->next++)
		if (own->pagemap[p->next]) {
			take_pagemap(p, p->next, &l);
			put_line(p, p->next, &l);
		}
}

/* Flags in an order of our own: where they stand differs between kernels. The first is of the very page, the others of its folio. */
static const char *const FLAGS[] = {"anon_exclusive", "dirty", "lru", "swapcache", "swapbacked", "mlocked", "unevictable", "locked",
	"writeback"};
#define N_FLAGS (sizeof(FLAGS) / sizeof(FLAGS[0]))

static unsigned flags_of(const struct km_entry *e)
{
	static int bits[N_FLAGS], known;
	unsigned flags = 0;

	for (size_t k = 0; !known && k < N_FLAGS; k++)
		bits[k] = km_flag(FLAGS[k]);
	known = 1;
	for (size_t k = 0; k < N_FLAGS; k++)
		if (bits[k] >= 0 && ((k == 0 ? e->page_flags : e->head_flags) >> bits[k]) & 1)
			flags |= 1u << k;
	return flags;
}

static void take_deep(const struct printing *p, uint64_t index, uint64_t entry, int level, const struct km_entry *e, struct line *l)
{
	l->entry = entry;
	l->level = level;
	l->has_page = e->has_page;
	if (!e->has_page)
		return;
	l->flags = flags_of(e);
	l->order = e->order;
	l->refcount = e->refcount;
	l->mapcount = e->mapcount;
	l->large_mapcount = e->large_mapcount;
	l->entire_mapcount = e->entire_mapcount;
	l->pincount = e->pincount;
	l->mm_shared = e->mm_shared;
	l->has_digest = digest_at(p, index, &l->digest) == 0;
}

static void on_entry(const struct km_entry *entry, void *argument)
{
	struct printing *p = argument;
	uint64_t count = entry->level == LEVEL_PMD ? 512 : 1;

	if (count > 1 && entry->has_page && km_pages(entry->pfn, (unsigned)count, own->parts) < 0)
		return;
	for (uint64_t j = 0; j < count; j++) {
		uint64_t addr = entry->addr + j * PAGE, index = (addr - p->start) / PAGE;
		struct line l;

		if (addr < p->start || index >= p->pages)
			continue;
		print_plain_until(p, index);
		take_pagemap(p, index, &l);
		take_deep(p, index, entry->entry, entry->level, count > 1 && entry->has_page ? &own->parts[j] : entry, &l);
		put_line(p, index, &l);
		p->next = index + 1;
	}
}

static void print_pages(int i, uint64_t start, uint64_t end)
{
	/* Longer ranges in portions: a mapping may be as large as the arena, and is then almost empty. */
	for (uint64_t from = start; from < end; from += ENTRIES_MAX * PAGE) {
		uint64_t to = from + ENTRIES_MAX * PAGE < end ? from + ENTRIES_MAX * PAGE : end;
		struct printing p = {.task = i, .start = from, .pages = (to - from) / PAGE};
		ssize_t got = pread(tasks[i].pagemap, own->pagemap, p.pages * 8, (off_t)(from / PAGE * 8));

		if (got < (ssize_t)(p.pages * 8))
			memset((char *)own->pagemap + (got > 0 ? got : 0), 0, p.pages * 8 - (got > 0 ? got : 0));
		if (deep && tasks[i].mm)
			km_walk(tasks[i].mm, from, to, on_entry, &p);
		print_plain_until(&p, p.pages);
	}
	print_row();
}

/* Prints the mappings of the arena and remembers their ranges. */
static int print_vmas(int i)
{
	int n = 0, inside = 0;
	long values[N_SMAPS];
	char *line = (char *)slurp_until(tasks[i].smaps, behind_arena), *next;

	for (; *line; line = next) {
		char *end = strchr(line, '\n'), *rest;

		next = end ? end + 1 : line + strlen(line);
		if (end)
			*end = 0;
		if (is_place(line)) {
			uint64_t from = strtoull(line, &rest, 16), to = strtoull(rest + 1, &rest, 16);
			char perms[8], device[16];
			unsigned long pgoff, inode;
			int name = 0;

			inside = from >= ARENA_START && from < ARENA_END && n < RANGES_MAX;
			if (!inside)
				continue;
			memset(values, 0, sizeof(values));
			sscanf(rest, " %7s %lx %15s %lu %n", perms, &pgoff, device, &inode, &name);
			own->ranges[n][0] = from;
			own->ranges[n++][1] = to;
			printf("V %d %lx %lx %s %lx %s %lx %s|", i, from, to, perms, pgoff / PAGE, device, inode, rest + name);
			continue;
		}
		if (!inside)
			continue;
		if (!strncmp(line, "VmFlags:", 8)) {
			for (size_t k = 0; k < N_SMAPS; k++)
				printf(k ? " %ld" : "%ld", values[k]);
			printf("|%s\n", line + 9);
			continue;
		}
		rest = strchr(line, ':');
		for (size_t k = 0; rest && k < N_SMAPS; k++)
			if (strlen(SMAPS[k]) == (size_t)(rest - line) && !memcmp(SMAPS[k], line, rest - line))
				values[k] = atol(rest + 1);
	}
	return n;
}

/* A descriptor that a task has open: 0, or -1. */
static int stat_of(int i, int fd, struct stat *s)
{
	char name[16];

	snprintf(name, sizeof(name), "%d", fd);
	return fstatat(tasks[i].fds, name, s, 0);
}

/*
 * stat() counts what reclaim dropped of files in memory; what is free of a tmpfs is known only then. Of each task it notes which descriptors there
 * are, so that nobody asks for others.
 */
static void count_files(int fd_limit)
{
	for (int i = 1; i <= TASKS_MAX; i++) {
		struct stat s;

		own->n_open[i] = 0;
		for (int fd = 3; tasks[i].alive && fd < fd_limit && fd < OPEN_MAX; fd++)
			if (stat_of(i, fd, &s) == 0)
				own->open[i][own->n_open[i]++] = (short)fd;
	}
}

/* What a userfaultfd says of itself, if the descriptor is one. */
static void print_uffd(int i, int fd)
{
	char path[64], features[32] = "";
	const char *text, *api;
	int info;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", tasks[i].pid, fd);
	info = open(path, O_RDONLY);
	if (info < 0)
		return;
	text = slurp(info);
	close(info);
	api = strstr(text, "API:");
	if (api && strstr(text, "pending:") && sscanf(api, "API: %*[^:]:%31[0-9a-f]", features) == 1)
		printf("X %d %d %ld %ld %s\n", i, fd, field(text, "pending:"), field(text, "total:"), features);
}

/* Blocks and what is free, of a file of a tmpfs. What a file takes on a disk is the file system's affair. */
static void print_blocks(int i, int fd, const struct stat *s)
{
	char path[64];
	struct statfs f;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", tasks[i].pid, fd);
	if (!S_ISREG(s->st_mode) || statfs(path, &f) != 0 || (f.f_type != TMPFS_MAGIC && f.f_type != HUGETLBFS_MAGIC))
		printf(" - -\n");
	/* A hugetlbfs tells what is free of its size, if it has one. */
	else if (f.f_type == HUGETLBFS_MAGIC && (long)f.f_blocks <= 0)
		printf(" - -\n");
	else if (f.f_blocks == 0)
		printf(" %ld -\n", (long)s->st_blocks);
	else
		printf(" %ld %ld\n", (long)s->st_blocks, (long)f.f_bfree);
}

static void print_files(int i)
{
	for (int k = 0; k < own->n_open[i]; k++) {
		int fd = own->open[i][k];
		struct stat s;

		if (stat_of(i, fd, &s) != 0)
			continue;
		printf("F %d %d %x:%x %lx %ld", i, fd, major(s.st_dev), minor(s.st_dev), s.st_ino, (long)s.st_size);
		print_blocks(i, fd, &s);
		/* The inode of what is no file (userfaultfd, io_uring) has no type. */
		if ((s.st_mode & S_IFMT) == 0)
			print_uffd(i, fd);
	}
}

static void print_huge_pages(void)
{
	static int meminfo = -1;
	const char *all;

	if (meminfo < 0)
		meminfo = high_fd(open("/proc/meminfo", O_RDONLY));
	all = slurp(meminfo);
	printf("H %ld %ld %ld %ld\n", field(all, "HugePages_Total:"), field(all, "HugePages_Free:"), field(all, "HugePages_Rsvd:"),
	       field(all, "HugePages_Surp:"));
}

/* Waits until no frame of the last observation is being written: how long that takes shows in what may be reclaimed or reused. */
void observe_written(void)
{
	for (int i = 0; i < own->n_seen; i++)
		for (int ms = 0; ms < 10 * WRITEBACK_MS_MAX && (word_at(kpageflags, own->seen[i]) & KPF_WRITEBACK); ms++)
			usleep(100);
}

/* Everything, one line each; descriptors from 3 up to, not including, `fd_limit`. */
void observe(int fd_limit)
{
	own->n_seen = 0;
	rounds++;
	count_files(fd_limit);
	for (int i = 1; i <= TASKS_MAX; i++) {
		int n;

		if (!tasks[i].alive)
			continue;
		print_task(i);
		print_files(i);
		if (tasks[i].owner != i)
			continue;
		if (ksm_used)
			ksm_print_task(i);
		n = print_vmas(i);
		for (int r = 0; r < n; r++)
			print_pages(i, own->ranges[r][0], own->ranges[r][1]);
	}
	print_huge_pages();
	if (ksm_used)
		ksm_print_machine();
}
