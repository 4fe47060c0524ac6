/*
 * Reading kernel memory: page-table entries of an mm and the struct page behind each, as they are at the moment of the call. Nothing is
 * attached to the kernel and nothing arrives later. Needs root, x86-64 with 4-level paging, Linux 5.10 or later.
 */
#ifndef FOLIOSCOPE_KERNEL_MEMORY_H
#define FOLIOSCOPE_KERNEL_MEMORY_H
#include <limits.h>
#include <stdint.h>

/* A field that this kernel does not have, or that does not apply to this folio. Never a number. */
#define KM_UNSEEN INT_MIN

struct km_entry {
	uint64_t addr; /* first address that the entry maps */
	uint64_t entry; /* all 64 bits, as in the table */
	int level; /* 1 pte, 2 pmd, 3 pud; 0 from km_pages */
	uint64_t pfn; /* of a present entry, PROT_NONE included; 0 of a swap, migration or marker entry */
	int has_page; /* 0: not present, or special (zero page, huge zero folio, vvar): nothing below is filled in */
	uint64_t page_flags; /* of this very page; bits by km_flag. Of a tail page only the per-page ones mean something */
	uint64_t head_flags; /* of the folio */
	int order;
	int refcount; /* of the folio */
	int mapcount; /* of this very page, from 0: PTE mappings only. Unseen if page_type is told */
	unsigned page_type; /* what a typed page (a hugetlb head) keeps in the place of _mapcount, else 0 */
	int large_mapcount; /* of a large folio: all its mappings, from 0 */
	int entire_mapcount; /* of a large folio: PMD and hugetlb mappings, from 0 */
	int pincount; /* of a large folio; unseen of an order-0 one */
	unsigned mm_id[2]; /* owner slots of a large folio, see km_mm_id; they mean something if mm_id_mapcount is seen */
	int mm_id_mapcount[2]; /* from 0 */
	int mm_shared; /* 1: "maybe mapped shared", the slots do not tell everything */
	uint64_t mapping; /* of the folio, with its low bits (1 anon, 3 KSM) */
	uint64_t index; /* of the folio */
};

/*
 * Loads the programs and finds the kernel's maps, by `layout`: "name=value,..." as layoutText of btf.ts makes it. What was found is
 * proven with pages of the caller before 0 is returned; otherwise -errno, and km_error() says why in words. The caller keeps up to
 * three mappings of 160 KB more, which fork does not inherit. More names of `layout`: keep=1, descriptors survive execve;
 * page_offset_base=, vmemmap_base=: tried before the usual ones.
 */
int km_open(const char *layout);
void km_close(void);
const char *km_error(void);

/* mm_struct of the caller, also in a child that inherited the descriptors. 0 if it cannot be told. */
uint64_t km_current_mm(void);
/* The same in a program that knows nothing else, after an execve with keep=1, by what the two functions below said before it. */
uint64_t km_current_mm_by(int descriptor, uint64_t mm_offset);
int km_descriptor(void);
// Gives it a number of at least `minimum`, so that tasks may use those below. 0 or -errno.
int km_move_descriptor(int minimum);
uint64_t km_mm_offset(void);

/* What stands for `mm` in owner slots; 0 if this kernel has none. */
unsigned km_mm_id(uint64_t mm);
/* Number of the bit of a page flag ("anon_exclusive", "lru"); -1 if this kernel lacks it. */
int km_flag(const char *name);

/*
 * Calls `each` for every non-empty entry that maps something in [start, end), in order: swap, migration and marker entries too, leaves
 * once. 0 or -errno. Only in the process that called km_open, and for an mm whose tasks stand still: nothing is locked.
 */
int km_walk(uint64_t mm, uint64_t start, uint64_t end, void (*each)(const struct km_entry *, void *), void *arg);
#define KM_PAGES_MAX 512
/* The pages pfn to pfn + n - 1, n <= KM_PAGES_MAX, into out[0] to out[n - 1], with addr, entry and level 0: the parts of a leaf. */
int km_pages(uint64_t pfn, unsigned n, struct km_entry *out);
#define KM_BYTES_MAX 64
/*
 * The bytes of the n pages from `pfn` on, n <= KM_BYTES_MAX, as they are; nothing is faulted in. Good until the next call; NULL if one of them
 * cannot be read.
 */
const unsigned char *km_bytes(uint64_t pfn, unsigned n);
#endif
