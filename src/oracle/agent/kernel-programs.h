/*
 * The BPF programs by which kernel memory is read, all of type raw_tracepoint, run by BPF_PROG_TEST_RUN in the context of the caller and never
 * attached, and the window through which they give what they read. For kernel-memory.c.
 */
#ifndef FOLIOSCOPE_KERNEL_PROGRAMS_H
#define FOLIOSCOPE_KERNEL_PROGRAMS_H
#include "kernel-memory.h"
#include <stddef.h>
#include <stdint.h>

#define PAGE 4096ULL
#define PIECE 64ULL
#define ENTRIES 512U
#define PIECES_MAX ENTRIES

struct window {
	uint64_t from[PIECES_MAX];
	int64_t status[PIECES_MAX];
	uint8_t piece[PIECES_MAX][PIECE];
	uint64_t table[ENTRIES];
	uint8_t bytes[KM_BYTES_MAX][PAGE];
};

/* NULL before create_window(). */
extern struct window *window;

/* 0, or minus an errno, then km_error() says why. */
int create_window(void);
/* A forked child has not got the window `mapped`, only its descriptor. */
void destroy_window(int mapped);

/*
 * Each gives a descriptor for run(), or minus an errno:
 *
 *   word   returns 32 bits of the word at current->mm, or of the word at an address (a run returns 32 bits, so two make a word);
 *          uses no memory but its stack, so a forked child can run it too
 *   table  copies one page (a page table) into the window
 *   bytes  copies up to KM_BYTES_MAX pages that follow each other into it
 *   batch  copies up to 512 pieces of 64 bytes (struct pages), whose addresses are in the window, into it
 */
int load_word(void);
int load_table(void);
int load_batch(void);
int load_bytes(void);

/* Runs the program behind `fd`; 0 or minus an errno. */
int run(int fd, const uint64_t *args, unsigned n, uint32_t *result);

/* Working memory that a forked child has no use for, and should not pay for; NULL and a reason in km_error(). */
void *scratch(size_t size);

/* Keeps what km_error() says, and returns -error. */
int fail(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));
#endif
