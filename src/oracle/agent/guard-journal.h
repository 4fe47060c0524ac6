/* The guard's lines and its journal. */
#ifndef FOLIOSCOPE_GUARD_JOURNAL_H
#define FOLIOSCOPE_GUARD_JOURNAL_H

#include <stddef.h>

#define TEXT_MAX 4096
/* A line holds two texts, every byte of which may have become three. */
#define LINE_SIZE (6 * TEXT_MAX + 64)
#define FIELDS_MAX 4

/* What one line of the journal undoes. `value`: of set the old value, of remove the directory's "device:inode". */
struct record {
	char kind[8];
	char *path;
	char *value;
	int done;
};

/* What is not undone yet, in the order in which it was done. */
extern struct record *records;
extern size_t n_records;
/* Where the journal and the lock are. */
extern int directory_fd;
/* What went wrong last. */
extern char problem[TEXT_MAX];

/* Keeps the text as `problem`. Returns -1. */
int set_problem(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A line to who started us. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Bytes of `from` as a field of a line. How many it took. */
size_t escape(char *to, const char *from);
/* Cuts `line` at its spaces. Number of fields, -1 if they are too many or wrongly written. */
int split(char *line, char **fields);

/* Puts down how to undo what is about to be done. */
int note(const char *kind, const char *path, const char *value);
int is_noted(const char *kind, const char *path);
void forget_last(void);
/* Keeps what is not done yet, here and in the journal, which stays open for more. */
int keep_undone(void);
void close_journal(void);

/* The journal's text; NULL and errno if there is none, errno 0 if it is not one of ours. */
char *read_journal(void);
/* Takes the records out of `text`. Number of the first line that is not what it should be, 0 if all are; *old: of an earlier boot. */
int parse_journal(char *text, int *old);
#endif
