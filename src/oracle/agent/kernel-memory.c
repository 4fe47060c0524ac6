/*
 * See kernel-memory.h, and kernel-programs.h for what reads. A read of an address that is not mapped fails and does no harm, so the two bases
 * that KASLR moves can be searched for: the direct map is where a page of ours is seen with its contents, vmemmap where it has a
 * struct page with our index.
 */
#define _GNU_SOURCE
#include "kernel-memory.h"
#include "kernel-programs.h"
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define GIB (1ULL << 30)
/* What is read of a folio lies in page[0] to page[HEAD_PIECES - 1], as far as it is that long. */
#define HEAD_PIECES 4U
/* A direct map or memmap is searched this far down from a known place in it: 4 TiB of memory. */
#define SEARCH_GIB 4096U
#define PROOF_PAGES 4U

/* Bits of page-table entries. */
#define P_PRESENT 0x001ULL
#define P_PSE 0x080ULL
#define P_PROTNONE 0x100ULL
#define P_SPECIAL 0x200ULL
#define P_FRAME 0x000ffffffffff000ULL

/* What the layout names; -1: this kernel lacks it. The first ESSENTIAL ones it must have. */
enum {
	TASK_MM, MM_PGD, PAGE_SIZEOF, PAGE_FLAGS, PAGE_COMPOUND_HEAD, PAGE_MAPCOUNT, PAGE_REFCOUNT, FOLIO_MAPPING, FOLIO_INDEX, FOLIO_ORDER,
	ESSENTIAL,
	TASK_STACK_VM_AREA = ESSENTIAL, VM_PAGES, MM_ID, FOLIO_LARGE_MAPCOUNT, FOLIO_ENTIRE_MAPCOUNT, FOLIO_PINCOUNT, FOLIO_MM_ID_MAPCOUNT,
	FOLIO_MM_ID, KEEP, PAGE_OFFSET_BASE, VMEMMAP_BASE,
	NAMES
};
static const char *const NAME[NAMES] = {
	"task_mm", "mm_pgd", "page_sizeof", "page_flags", "page_compound_head", "page_mapcount", "page_refcount", "folio_mapping",
	"folio_index", "folio_order", "task_stack_vm_area", "vm_pages", "mm_id", "folio_large_mapcount", "folio_entire_mapcount",
	"folio_pincount", "folio_mm_id_mapcount", "folio_mm_id", "keep", "page_offset_base", "vmemmap_base",
};
static int64_t offset_of[NAMES];

#define FLAGS_MAX 64
static struct {
	char name[32];
	int bit;
} flags[FLAGS_MAX];
static unsigned n_flags;

static int word_fd = -1, table_fd = -1, batch_fd = -1, bytes_fd = -1;
static pid_t owner;
static uint64_t page_offset_base, vmemmap_base;

/* ---- layout ---- */

static int take_pair(const char *name, size_t length, int64_t value)
{
	if (length > 3 && !memcmp(name, "PG_", 3)) {
		if (n_flags == FLAGS_MAX || length - 3 >= sizeof(flags[0].name) || value < 0 || value > 63)
			return fail(EINVAL, "layout: cannot take flag %.*s", (int)length, name);
		memcpy(flags[n_flags].name, name + 3, length - 3);
		flags[n_flags].name[length - 3] = 0;
		flags[n_flags++].bit = (int)value;
		return 0;
	}
	for (int i = 0; i < NAMES; i++)
		if (strlen(NAME[i]) == length && !memcmp(NAME[i], name, length)) {
			offset_of[i] = value;
			return 0;
		}
	return fail(EINVAL, "layout: unknown name %.*s", (int)length, name);
}

/* A field must lie in the pieces that are read. */
static int check_layout(void)
{
	static const struct {
		int name;
		unsigned size;
	} FIELDS[] = { { PAGE_FLAGS, 8 }, { PAGE_COMPOUND_HEAD, 8 }, { PAGE_MAPCOUNT, 4 }, { PAGE_REFCOUNT, 4 }, { FOLIO_MAPPING, 8 },
		       { FOLIO_INDEX, 8 }, { FOLIO_ORDER, 1 }, { FOLIO_LARGE_MAPCOUNT, 4 }, { FOLIO_ENTIRE_MAPCOUNT, 4 },
		       { FOLIO_PINCOUNT, 4 }, { FOLIO_MM_ID_MAPCOUNT, 8 }, { FOLIO_MM_ID, 8 } };

	for (int i = 0; i < ESSENTIAL; i++)
		if (offset_of[i] < 0)
			return fail(EINVAL, "layout: %s is missing", NAME[i]);
	if (offset_of[PAGE_SIZEOF] != PIECE)
		return fail(ENOSYS, "struct page has %lld bytes; only 64 are understood", (long long)offset_of[PAGE_SIZEOF]);
	for (size_t i = 0; i < sizeof(FIELDS) / sizeof(FIELDS[0]); i++) {
		int64_t at = offset_of[FIELDS[i].name], room = i < 6 ? PIECE : HEAD_PIECES * PIECE;

		if (at >= 0 && at + FIELDS[i].size > room)
			return fail(EINVAL, "layout: %s=%lld cannot be", NAME[FIELDS[i].name], (long long)at);
	}
	if (km_flag("head") < 0)
		return fail(EINVAL, "layout: PG_head is missing");
	return 0;
}

static int parse_layout(const char *text)
{
	n_flags = 0;
	for (int i = 0; i < NAMES; i++)
		offset_of[i] = -1;
	while (*text) {
		const char *equal = strchr(text, '='), *comma = strchr(text, ',');
		char *end;
		int64_t value;
		int error;

		if (!equal || (comma && comma < equal))
			return fail(EINVAL, "layout: no value in '%.40s'", text);
		errno = 0;
		value = (int64_t)strtoull(equal + 1, &end, 0);
		if (errno || end == equal + 1 || (*end && *end != ','))
			return fail(EINVAL, "layout: no number in '%.40s'", text);
		error = take_pair(text, (size_t)(equal - text), value);
		if (error)
			return error;
		text = *end ? end + 1 : end;
	}
	return check_layout();
}

int km_flag(const char *name)
{
	for (unsigned i = 0; i < n_flags; i++)
		if (!strcmp(flags[i].name, name))
			return flags[i].bit;
	return -1;
}

/* ---- reading ---- */

static uint64_t word_by(int fd, uint64_t address, uint64_t add)
{
	uint64_t low[3] = { address, add, 0 }, high[3] = { address, add, 32 };
	uint32_t a, b;

	if (run(fd, low, 3, &a) || run(fd, high, 3, &b))
		return 0;
	return (uint64_t)b << 32 | a;
}

uint64_t km_current_mm_by(int descriptor, uint64_t mm_offset)
{
	return word_by(descriptor, 0, mm_offset);
}

uint64_t km_current_mm(void)
{
	return word_fd < 0 ? 0 : km_current_mm_by(word_fd, km_mm_offset());
}

int km_descriptor(void)
{
	return word_fd;
}

int km_move_descriptor(int minimum)
{
	int moved = fcntl(word_fd, F_DUPFD_CLOEXEC, minimum);

	if (moved < 0)
		return fail(errno, "cannot move the descriptor: %s", strerror(errno));
	close(word_fd);
	word_fd = moved;
	return 0;
}

uint64_t km_mm_offset(void)
{
	return (uint64_t)offset_of[TASK_MM];
}

unsigned km_mm_id(uint64_t mm)
{
	return word_fd < 0 || offset_of[MM_ID] < 0 ? 0 : (unsigned)word_by(word_fd, mm, (uint64_t)offset_of[MM_ID]);
}

static int read_table(uint64_t address, uint64_t *entries)
{
	uint32_t status;
	int error = run(table_fd, &address, 1, &status);

	if (error)
		return fail(-error, "the BPF program 'table' does not run: %s", strerror(-error));
	if (status)
		return fail(EFAULT, "no page table at %#llx", (unsigned long long)address);
	memcpy(entries, window->table, PAGE);
	return 0;
}

const unsigned char *km_bytes(uint64_t pfn, unsigned n)
{
	uint64_t args[2] = {page_offset_base + pfn * PAGE, n * PAGE};
	uint32_t status;

	if (!window || getpid() != owner || n > KM_BYTES_MAX)
		return NULL;
	return run(bytes_fd, args, 2, &status) || status ? NULL : window->bytes[0];
}

/* Reads the pieces at window->from[0] to [n - 1]; each has its own status. */
static int read_pieces(unsigned n)
{
	uint64_t count = n;
	uint32_t result;
	int error = n ? run(batch_fd, &count, 1, &result) : 0;

	return error ? fail(-error, "the BPF program 'batch' does not run: %s", strerror(-error)) : 0;
}

static uint64_t u64_at(const uint8_t *bytes, int64_t offset)
{
	uint64_t value;

	memcpy(&value, bytes + offset, sizeof(value));
	return value;
}

static int s32_at(const uint8_t *bytes, int64_t offset)
{
	int value;

	memcpy(&value, bytes + offset, sizeof(value));
	return value;
}

/* ---- struct page ---- */

/* What is known of the folio of one entry while it is read. */
struct reading {
	struct km_entry *entry;
	uint64_t page, head;
	int first; /* piece of this round that holds the head; -1: not asked */
	int large;
};
static struct reading *readings; /* [PIECES_MAX] */

static void tell_page(struct km_entry *entry, const uint8_t *page)
{
	int raw = s32_at(page, offset_of[PAGE_MAPCOUNT]);

	entry->has_page = 1;
	entry->page_flags = u64_at(page, offset_of[PAGE_FLAGS]);
	/* _mapcount shares its place with page_type, whose values are far below any count (page_has_type). */
	entry->page_type = raw < -128 ? (unsigned)raw : 0;
	entry->mapcount = raw < -128 ? KM_UNSEEN : raw + 1;
	entry->order = entry->large_mapcount = entry->entire_mapcount = entry->pincount = entry->mm_shared = KM_UNSEEN;
	entry->refcount = entry->mm_id_mapcount[0] = entry->mm_id_mapcount[1] = KM_UNSEEN;
	entry->mm_id[0] = entry->mm_id[1] = 0;
}

/* A number of a folio, counted from `base` upwards, if the kernel has it and the folio is long enough to hold it. */
static int count_of(const struct km_entry *entry, const uint8_t *folio, int name, int index, int base)
{
	int64_t at = offset_of[name] + 4 * index;

	if (offset_of[name] < 0 || (uint64_t)at >= PIECE << entry->order)
		return KM_UNSEEN;
	return s32_at(folio, at) + base;
}

static void tell_folio(struct km_entry *entry, const uint8_t *folio, int large)
{
	entry->head_flags = u64_at(folio, offset_of[PAGE_FLAGS]);
	entry->refcount = s32_at(folio, offset_of[PAGE_REFCOUNT]);
	entry->mapping = u64_at(folio, offset_of[FOLIO_MAPPING]);
	entry->index = u64_at(folio, offset_of[FOLIO_INDEX]);
	entry->order = large ? folio[offset_of[FOLIO_ORDER]] : 0;
	if (!large)
		return;
	entry->large_mapcount = count_of(entry, folio, FOLIO_LARGE_MAPCOUNT, 0, 1);
	entry->entire_mapcount = count_of(entry, folio, FOLIO_ENTIRE_MAPCOUNT, 0, 1);
	entry->pincount = count_of(entry, folio, FOLIO_PINCOUNT, 0, 0);
	if (offset_of[FOLIO_MM_ID] < 0 || offset_of[FOLIO_MM_ID_MAPCOUNT] < 0)
		return;
	for (int i = 0; i < 2; i++) {
		/* The top bits are not part of the number: of slot 0 the lock, of slot 1 "maybe mapped shared". */
		entry->mm_id[i] = (unsigned)s32_at(folio, offset_of[FOLIO_MM_ID] + 4 * i) & 0x7fffffffU;
		entry->mm_id_mapcount[i] = count_of(entry, folio, FOLIO_MM_ID_MAPCOUNT, i, 1);
	}
	entry->mm_shared = s32_at(folio, offset_of[FOLIO_MM_ID] + 4) < 0;
}

static unsigned ask(unsigned n, uint64_t address)
{
	window->from[n] = address;
	return n + 1;
}

/* Number of pieces from the first to the last that holds anything the layout names of a large folio. */
static unsigned head_pieces(void)
{
	static const int NAMED[] = { FOLIO_ORDER, FOLIO_LARGE_MAPCOUNT, FOLIO_ENTIRE_MAPCOUNT, FOLIO_PINCOUNT, FOLIO_MM_ID_MAPCOUNT,
				     FOLIO_MM_ID };
	int64_t last = PIECE;

	for (size_t i = 0; i < sizeof(NAMED) / sizeof(NAMED[0]); i++)
		if (offset_of[NAMED[i]] > last)
			last = offset_of[NAMED[i]];
	return (unsigned)(last / (int64_t)PIECE) + 1;
}

/* The heads of readings [from, to), each folio once if its pages follow each other. */
static int read_folios(unsigned from, unsigned to)
{
	unsigned pieces = head_pieces(), n = 0;
	int error;

	for (unsigned i = from; i < to; i++) {
		struct reading *reading = &readings[i];

		if (i > from && reading[-1].head == reading->head) {
			reading->first = reading[-1].first;
			continue;
		}
		reading->first = (int)n;
		for (unsigned k = 0; k < pieces; k++)
			n = ask(n, reading->head + k * PIECE);
	}
	error = read_pieces(n);
	if (error)
		return error;
	for (unsigned i = from; i < to; i++) {
		struct reading *reading = &readings[i];
		const uint8_t *folio = window->piece[reading->first];

		if (window->status[reading->first] || window->status[reading->first + 1])
			return fail(EFAULT, "no struct folio at %#llx", (unsigned long long)reading->head);
		tell_folio(reading->entry, folio, 1);
	}
	return 0;
}

/*
 * Fills in the pages of readings[0 .. n), whose entries have their pfn. A page whose struct page cannot be read (device memory without
 * one) has none.
 */
static int read_pages(unsigned n)
{
	const uint64_t head_bit = 1ULL << km_flag("head");
	unsigned large = 0, batch = PIECES_MAX / HEAD_PIECES;
	int error;

	for (unsigned i = 0; i < n; i++) {
		readings[i].page = vmemmap_base + readings[i].entry->pfn * PIECE;
		ask(i, readings[i].page);
	}
	error = read_pieces(n);
	if (error)
		return error;
	for (unsigned i = 0; i < n; i++) {
		struct reading *reading = &readings[i];
		const uint8_t *page = window->piece[i];
		uint64_t compound_head = u64_at(page, offset_of[PAGE_COMPOUND_HEAD]);

		if (window->status[i])
			continue;
		tell_page(reading->entry, page);
		if (!(compound_head & 1) && !(reading->entry->page_flags & head_bit)) {
			tell_folio(reading->entry, page, 0);
			continue;
		}
		/* The list of large ones grows behind the reader. */
		readings[large].entry = reading->entry;
		readings[large].page = reading->page;
		readings[large++].head = compound_head & 1 ? compound_head - 1 : reading->page;
	}
	/*
	 * hugetlb maps the memmap of its tails to that of the first 64 pages, so a tail can look like a head: the page after a head
	 * knows better (page_fixed_fake_head).
	 */
	n = 0;
	for (unsigned i = 0; i < large; i++)
		if (readings[i].head == readings[i].page && readings[i].page % PAGE == 0)
			n = ask(n, readings[i].page + PIECE);
	error = read_pieces(n);
	if (error)
		return error;
	n = 0;
	for (unsigned i = 0; i < large; i++)
		if (readings[i].head == readings[i].page && readings[i].page % PAGE == 0) {
			uint64_t compound_head = u64_at(window->piece[n], offset_of[PAGE_COMPOUND_HEAD]);

			if (!window->status[n++] && (compound_head & 1))
				readings[i].head = compound_head - 1;
		}
	for (unsigned i = 0; i < large && !error; i += batch)
		error = read_folios(i, i + batch < large ? i + batch : large);
	return error;
}

int km_pages(uint64_t pfn, unsigned n, struct km_entry *out)
{
	if (!window || getpid() != owner)
		return fail(EINVAL, "km_open was not called in this process");
	if (n > KM_PAGES_MAX)
		return fail(EINVAL, "at most %d pages at a time", KM_PAGES_MAX);
	memset(out, 0, n * sizeof(*out));
	for (unsigned i = 0; i < n; i++) {
		out[i].pfn = pfn + i;
		readings[i].entry = &out[i];
	}
	return read_pages(n);
}

/* ---- page tables ---- */

struct walk {
	uint64_t start, end;
	void (*each)(const struct km_entry *, void *);
	void *arg;
	struct km_entry found[ENTRIES];
	unsigned n_found;
	uint64_t table[5][ENTRIES];
};
static struct walk *walk;

/* Reads the pages of what was found and hands it on. */
static int hand_on(void)
{
	unsigned n = 0;
	int error;

	for (unsigned i = 0; i < walk->n_found; i++) {
		const struct km_entry *entry = &walk->found[i];

		if (entry->pfn && !(entry->entry & P_SPECIAL))
			readings[n++].entry = &walk->found[i];
	}
	error = read_pages(n);
	if (error)
		return error;
	for (unsigned i = 0; i < walk->n_found; i++)
		walk->each(&walk->found[i], walk->arg);
	walk->n_found = 0;
	return 0;
}

static int take_entry(uint64_t addr, uint64_t value, int level)
{
	struct km_entry *entry = &walk->found[walk->n_found++];
	uint64_t present = P_PRESENT | P_PROTNONE | (level > 1 ? P_PSE : 0);

	memset(entry, 0, sizeof(*entry));
	entry->addr = addr;
	entry->entry = value;
	entry->level = level;
	if (value & present) {
		/* Frames of entries that the processor takes for absent are inverted (L1TF). Bit 12 of a leaf is its PAT bit. */
		entry->pfn = ((value & P_PRESENT ? value : ~value) & P_FRAME) >> 12;
		entry->pfn &= ~((1ULL << 9 * (level - 1)) - 1);
	}
	return walk->n_found == ENTRIES ? hand_on() : 0;
}

static int walk_table(uint64_t table, uint64_t base, int level)
{
	const int shift = 12 + 9 * (level - 1);
	const uint64_t *entries = walk->table[level];
	uint64_t first = walk->start > base ? (walk->start - base) >> shift : 0;
	int error = read_table(table, walk->table[level]);

	for (uint64_t i = first; !error && i < ENTRIES; i++) {
		uint64_t addr = base + (i << shift), value = entries[i];

		if (addr >= walk->end)
			break;
		if (!value)
			continue;
		/* The bit of PSE means another thing at the first level, and the fourth has no leaves. */
		if (level > 1 && (level == 4 || ((value & P_PRESENT) && !(value & P_PSE))))
			error = walk_table(page_offset_base + (value & P_FRAME), addr, level - 1);
		else
			error = take_entry(addr, value, level);
	}
	return error;
}

int km_walk(uint64_t mm, uint64_t start, uint64_t end, void (*each)(const struct km_entry *, void *), void *arg)
{
	uint64_t pgd;
	int error;

	if (!window || getpid() != owner)
		return fail(EINVAL, "km_open was not called in this process");
	if (end > 1ULL << 47 || start >= end)
		return fail(EINVAL, "not a range of user addresses");
	pgd = word_by(word_fd, mm, (uint64_t)offset_of[MM_PGD]);
	if (!pgd)
		return fail(EFAULT, "no mm_struct at %#llx", (unsigned long long)mm);
	walk->start = start;
	walk->end = end;
	walk->each = each;
	walk->arg = arg;
	walk->n_found = 0;
	error = walk_table(pgd, 0, 4);
	return error ? error : hand_on();
}

/* ---- finding the bases, and proof ---- */

struct proof {
	uint8_t *pages;
	uint64_t pfn[PROOF_PAGES];
	unsigned walked;
	int wrong;
};

static int open_proof(struct proof *proof)
{
	uint64_t entry[PROOF_PAGES];
	int fd;
	ssize_t got;

	memset(proof, 0, sizeof(*proof));
	proof->pages = mmap(NULL, PROOF_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (proof->pages == MAP_FAILED) {
		proof->pages = NULL;
		return fail(errno, "no memory for the proof: %s", strerror(errno));
	}
	madvise(proof->pages, PROOF_PAGES * PAGE, MADV_NOHUGEPAGE);
	for (unsigned i = 0; i < PROOF_PAGES; i++) {
		uint64_t cookie[PIECE / 8];

		if (getentropy(cookie, sizeof(cookie)))
			return fail(errno, "no random numbers: %s", strerror(errno));
		memcpy(proof->pages + i * PAGE, cookie, sizeof(cookie));
	}
	fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	got = fd < 0 ? -1 : pread(fd, entry, sizeof(entry), (off_t)((uintptr_t)proof->pages / PAGE * 8));
	if (fd >= 0)
		close(fd);
	if (got != (ssize_t)sizeof(entry))
		return fail(EIO, "cannot read /proc/self/pagemap");
	for (unsigned i = 0; i < PROOF_PAGES; i++) {
		proof->pfn[i] = entry[i] & ((1ULL << 55) - 1);
		if (!(entry[i] >> 63) || !proof->pfn[i])
			return fail(EPERM, "/proc/self/pagemap hides page frames: root is needed");
	}
	return 0;
}

static void close_proof(struct proof *proof)
{
	if (proof->pages)
		munmap(proof->pages, PROOF_PAGES * PAGE);
}

static int is_direct_map(const struct proof *proof, uint64_t base)
{
	for (unsigned i = 0; i < PROOF_PAGES; i++)
		ask(i, base + proof->pfn[i] * PAGE);
	if (read_pieces(PROOF_PAGES))
		return 0;
	for (unsigned i = 0; i < PROOF_PAGES; i++)
		if (window->status[i] || memcmp(window->piece[i], proof->pages + i * PAGE, PIECE))
			return 0;
	return 1;
}

/* Struct pages of anonymous pages mapped once, by us, at our addresses. */
static int is_vmemmap(const struct proof *proof, uint64_t base)
{
	for (unsigned i = 0; i < PROOF_PAGES; i++)
		ask(i, base + proof->pfn[i] * PIECE);
	if (read_pieces(PROOF_PAGES))
		return 0;
	for (unsigned i = 0; i < PROOF_PAGES; i++) {
		const uint8_t *page = window->piece[i];

		if (window->status[i] || s32_at(page, offset_of[PAGE_REFCOUNT]) < 1 || s32_at(page, offset_of[PAGE_MAPCOUNT]) != 0 ||
		    (u64_at(page, offset_of[FOLIO_MAPPING]) & 3) != 1 ||
		    u64_at(page, offset_of[FOLIO_INDEX]) != (uintptr_t)proof->pages / PAGE + i)
			return 0;
	}
	return 1;
}

typedef int is_base(const struct proof *proof, uint64_t base);

/* The base below `inside`, or one of the first two guesses. 0: none. */
static uint64_t find_base(const struct proof *proof, is_base *is, int64_t told, uint64_t usual, uint64_t inside)
{
	if (told != -1 && is(proof, (uint64_t)told))
		return (uint64_t)told;
	if (told == -1 && is(proof, usual))
		return usual;
	for (uint64_t i = 0; inside && i < SEARCH_GIB; i++) {
		uint64_t base = (inside & ~(GIB - 1)) - i * GIB;

		if (is(proof, base))
			return base;
	}
	return 0;
}

static int find_bases(const struct proof *proof)
{
	uint64_t mm = km_current_mm(), pgd, area = 0, pages = 0, page = 0;

	pgd = mm ? word_by(word_fd, mm, (uint64_t)offset_of[MM_PGD]) : 0;
	if (!pgd)
		return fail(EFAULT, "the layout does not fit this kernel: no page tables at task->mm->pgd");
	if (pgd >= 0xff10000000000000ULL && pgd < 0xffff800000000000ULL)
		return fail(ENOSYS, "5-level paging: only 4 levels are understood (boot with no5lvl)");
	if (pgd < 0xffff800000000000ULL || pgd % PAGE)
		return fail(EFAULT, "the layout does not fit this kernel: task->mm->pgd is %#llx", (unsigned long long)pgd);
	page_offset_base = find_base(proof, is_direct_map, offset_of[PAGE_OFFSET_BASE], 0xffff888000000000ULL, pgd);
	if (!page_offset_base)
		return fail(ENOENT, "cannot find the kernel's direct map (page_offset_base)");
	/* The stack of the task was allocated page by page, and vm_struct lists the pages. */
	if (offset_of[TASK_STACK_VM_AREA] >= 0 && offset_of[VM_PAGES] >= 0) {
		area = word_by(word_fd, 0, (uint64_t)offset_of[TASK_STACK_VM_AREA]);
		pages = area ? word_by(word_fd, area, (uint64_t)offset_of[VM_PAGES]) : 0;
		page = pages ? word_by(word_fd, pages, 0) : 0;
	}
	vmemmap_base = find_base(proof, is_vmemmap, offset_of[VMEMMAP_BASE], 0xffffea0000000000ULL, page);
	if (!vmemmap_base)
		return fail(ENOENT, "cannot find the kernel's struct pages (vmemmap_base)");
	return 0;
}

static void compare_proof(const struct km_entry *entry, void *arg)
{
	struct proof *proof = arg;
	unsigned i = proof->walked++;

	if (i >= PROOF_PAGES || entry->addr != (uintptr_t)proof->pages + i * PAGE || entry->level != 1 || entry->pfn != proof->pfn[i] ||
	    !entry->has_page || entry->refcount < 1 || entry->mapcount != 1 || entry->order != 0 ||
	    entry->index != entry->addr / PAGE)
		proof->wrong = 1;
}

/* The way that observations take must lead to the pages that pagemap names. */
static int prove(struct proof *proof)
{
	uint64_t start = (uintptr_t)proof->pages;
	int error = km_walk(km_current_mm(), start, start + PROOF_PAGES * PAGE, compare_proof, proof);

	if (error)
		return error;
	if (proof->wrong || proof->walked != PROOF_PAGES)
		return fail(EIO, "the page tables read do not agree with /proc/self/pagemap: the layout does not fit this kernel");
	return 0;
}

int km_open(const char *layout)
{
	struct proof proof = { 0 };
	int error;

	km_close();
	owner = getpid();
	error = parse_layout(layout);
	if (error)
		return error;
	error = create_window();
	if (!error && (!(walk = scratch(sizeof(*walk))) || !(readings = scratch(PIECES_MAX * sizeof(*readings)))))
		error = -ENOMEM;
	if (!error)
		error = word_fd = load_word();
	if (error >= 0)
		error = table_fd = load_table();
	if (error >= 0)
		error = batch_fd = load_batch();
	if (error >= 0)
		error = bytes_fd = load_bytes();
	if (error >= 0)
		error = open_proof(&proof);
	if (!error)
		error = find_bases(&proof);
	if (!error)
		error = prove(&proof);
	close_proof(&proof);
	if (!error && offset_of[KEEP] == 1 && fcntl(word_fd, F_SETFD, 0))
		error = fail(errno, "cannot keep the descriptor: %s", strerror(errno));
	if (error)
		km_close();
	return error;
}

static void close_descriptor(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void km_close(void)
{
	if (getpid() == owner) {
		if (walk)
			munmap(walk, sizeof(*walk));
		if (readings)
			munmap(readings, PIECES_MAX * sizeof(*readings));
	}
	walk = NULL;
	readings = NULL;
	destroy_window(getpid() == owner);
	close_descriptor(&word_fd);
	close_descriptor(&table_fd);
	close_descriptor(&batch_fd);
	close_descriptor(&bytes_fd);
}
