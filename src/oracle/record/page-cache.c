/*
 * What Node cannot ask the kernel: which pages of a file are cached, and which carry the readahead mark.
 *
 *   page-cache marked           prints the page frames that carry the mark, as lines "PFN COUNT"
 *   page-cache files MARKED     reads lines "MAJOR:MINOR INODE PATH" (hexadecimal device) and prints for each file that still is the
 *                               one named "MAJOR:MINOR INODE SIZE [absent] [marked before] [marked now]", lists of "index,n", one for
 *                               each folio where marks are concerned; MARKED is the output of `page-cache marked` of an earlier time
 *
 * Fault-around passes over a folio that carries PG_readahead. The flag shares its bit with PG_reclaim, which /proc/kpageflags shows.
 * Looking must not change it: a mapping with MADV_RANDOM starts no readahead, and only pages already cached are touched.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#define KPF_LRU (1ULL << 5)
#define KPF_RECLAIM (1ULL << 9)
#define KPF_ANON (1ULL << 12)
#define KPF_COMPOUND_TAIL (1ULL << 16)
#define PM_PRESENT (1ULL << 63)
#define PM_PFN ((1ULL << 55) - 1)
#define PAGE 4096ULL
/* Mapped at a time. */
#define WINDOW 65536ULL
/* Larger files are not looked at: 64 GiB. */
#define SIZE_MAX_PAGES (1ULL << 24)

static uint64_t *ranges; /* [first, count]*, ascending */
static size_t n_ranges;
static int pagemap = -1, kpageflags = -1;

static int is_mark(uint64_t flags)
{
	return (flags & KPF_RECLAIM) && (flags & KPF_LRU) && !(flags & KPF_ANON);
}

static int print_marked(void)
{
	static uint64_t flags[WINDOW];
	uint64_t pfn = 0, first = 0, count = 0;
	ssize_t got;

	while ((got = read(kpageflags, flags, sizeof(flags))) > 0) {
		for (ssize_t i = 0; i < got / 8; i++, pfn++) {
			if (!is_mark(flags[i]))
				continue;
			if (count && first + count == pfn) {
				count++;
				continue;
			}
			if (count)
				printf("%" PRIu64 " %" PRIu64 "\n", first, count);
			first = pfn;
			count = 1;
		}
	}
	if (count)
		printf("%" PRIu64 " %" PRIu64 "\n", first, count);
	return got < 0;
}

static void read_marked(const char *path)
{
	FILE *in = fopen(path, "r");
	uint64_t first, count;
	size_t room = 0;

	if (!in)
		return;
	while (fscanf(in, "%" SCNu64 " %" SCNu64, &first, &count) == 2) {
		if (n_ranges == room) {
			room = room ? room * 2 : 1024;
			ranges = realloc(ranges, room * 16);
			if (!ranges)
				exit(1);
		}
		ranges[2 * n_ranges] = first;
		ranges[2 * n_ranges + 1] = count;
		n_ranges++;
	}
	fclose(in);
}

static int was_marked(uint64_t pfn)
{
	size_t low = 0, high = n_ranges;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (ranges[2 * middle] + ranges[2 * middle + 1] <= pfn)
			low = middle + 1;
		else
			high = middle;
	}
	return low < n_ranges && ranges[2 * low] <= pfn;
}

/* A list of page ranges under construction. */
struct list {
	char *text;
	size_t length;
	uint64_t first, count;
};

static void flush(struct list *list)
{
	char item[64];
	int n;

	if (!list->count)
		return;
	n = snprintf(item, sizeof(item), "%s%" PRIu64 ",%" PRIu64, list->length ? " " : "", list->first, list->count);
	list->text = realloc(list->text, list->length + n + 1);
	if (!list->text)
		exit(1);
	memcpy(list->text + list->length, item, n + 1);
	list->length += n;
	list->count = 0;
}

static void append(struct list *list, uint64_t index)
{
	if (list->count && list->first + list->count == index) {
		list->count++;
		return;
	}
	flush(list);
	list->first = index;
	list->count = 1;
}

/* The mark belongs to the folio, so folios are kept apart. */
static void append_folio(struct list *list, uint64_t index, uint64_t flags)
{
	if (!(flags & KPF_COMPOUND_TAIL))
		flush(list);
	append(list, index);
}

static void look_at_flags(char *base, uint64_t from, uint64_t pages, const unsigned char *cached, struct list *before,
			  struct list *now)
{
	static uint64_t entries[WINDOW];

	if (pagemap < 0 || kpageflags < 0 || madvise(base, pages * PAGE, MADV_RANDOM))
		return;
	for (uint64_t i = 0; i < pages;) {
		uint64_t end = i;

		while (end < pages && (cached[end] & 1))
			end++;
		if (end > i)
			madvise(base + i * PAGE, (end - i) * PAGE, MADV_POPULATE_READ);
		i = end + 1;
	}
	if (pread(pagemap, entries, pages * 8, (uintptr_t)base / PAGE * 8) != (ssize_t)(pages * 8))
		return;
	for (uint64_t i = 0; i < pages; i++) {
		uint64_t flags, pfn = entries[i] & PM_PFN;

		if (!(entries[i] & PM_PRESENT) || pfn == 0)
			continue;
		if (pread(kpageflags, &flags, 8, pfn * 8) != 8)
			continue;
		if (was_marked(pfn))
			append_folio(before, from + i, flags);
		if (is_mark(flags))
			append_folio(now, from + i, flags);
	}
}

static void look_at(const char *device, unsigned long major_, unsigned long minor_, uint64_t inode, const char *path)
{
	static unsigned char cached[WINDOW];
	struct list absent = {0}, before = {0}, now = {0};
	struct stat st;
	uint64_t pages;
	int fd, failed = 0;

	if (lstat(path, &st) || !S_ISREG(st.st_mode))
		return;
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return;
	pages = 0;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_ino != inode || major(st.st_dev) != major_ ||
	    minor(st.st_dev) != minor_)
		failed = 1;
	else
		pages = (st.st_size + PAGE - 1) / PAGE;
	if (pages > SIZE_MAX_PAGES)
		failed = 1;
	for (uint64_t from = 0; from < pages && !failed; from += WINDOW) {
		uint64_t n = pages - from < WINDOW ? pages - from : WINDOW;
		char *base = mmap(NULL, n * PAGE, PROT_READ, MAP_SHARED, fd, from * PAGE);

		if (base == MAP_FAILED) {
			failed = 1;
			break;
		}
		if (mincore(base, n * PAGE, cached)) {
			failed = 1;
		} else {
			for (uint64_t i = 0; i < n; i++)
				if (!(cached[i] & 1))
					append(&absent, from + i);
			look_at_flags(base, from, n, cached, &before, &now);
		}
		munmap(base, n * PAGE);
	}
	close(fd);
	flush(&absent);
	flush(&before);
	flush(&now);
	if (!failed)
		printf("%s %" PRIu64 " %" PRIu64 " [%s] [%s] [%s]\n", device, inode, (uint64_t)st.st_size,
		       absent.text ? absent.text : "", before.text ? before.text : "", now.text ? now.text : "");
	free(absent.text);
	free(before.text);
	free(now.text);
}

int main(int argc, char **argv)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t length;

	kpageflags = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);
	if (argc == 2 && !strcmp(argv[1], "marked"))
		return kpageflags < 0 || print_marked();
	if (argc != 3 || strcmp(argv[1], "files"))
		return 2;
	pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	read_marked(argv[2]);
	while ((length = getline(&line, &room, stdin)) > 0) {
		unsigned long major_, minor_;
		uint64_t inode;
		char device[40];
		int at = 0;

		if (line[length - 1] == '\n')
			line[length - 1] = 0;
		if (sscanf(line, "%lx:%lx %" SCNu64 " %n", &major_, &minor_, &inode, &at) < 3 || at == 0)
			continue;
		snprintf(device, sizeof(device), "%lx:%lx", major_, minor_);
		look_at(device, major_, minor_, inode, line + at);
	}
	free(line);
	return 0;
}
