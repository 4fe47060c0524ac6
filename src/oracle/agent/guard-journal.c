/* The guard's lines and its journal: what is to be undone, on disk before it is done. */
#define _GNU_SOURCE
#include "guard-journal.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define JOURNAL_SIZE_MAX (16L << 20)

struct record *records;
size_t n_records;
int directory_fd = -1;
char problem[TEXT_MAX];
static size_t room_for_records;
static int journal_fd = -1;

int set_problem(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(problem, sizeof(problem), format, list);
	va_end(list);
	return -1;
}

/* Nobody may be listening any more; that is no reason to stop. */
void say(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vprintf(format, list);
	va_end(list);
	putchar('\n');
	fflush(stdout);
}

/* ---- lines ---- */

size_t escape(char *to, const char *from)
{
	static const char HEX[] = "0123456789ABCDEF";
	char *at = to;

	for (; *from; from++) {
		unsigned char byte = (unsigned char)*from;

		if (byte > ' ' && byte != '%' && byte != 127) {
			*at++ = (char)byte;
			continue;
		}
		*at++ = '%';
		*at++ = HEX[byte >> 4];
		*at++ = HEX[byte & 15];
	}
	*at = 0;
	return (size_t)(at - to);
}

static int unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from; from++) {
		unsigned byte;
		int length = 0;

		if (*from != '%') {
			*to++ = *from;
			continue;
		}
		if (sscanf(from + 1, "%2x%n", &byte, &length) != 1 || length != 2 || !byte)
			return -1;
		*to++ = (char)byte;
		from += 2;
	}
	*to = 0;
	return 0;
}

int split(char *line, char **fields)
{
	int n = 0;

	for (char *next; line; line = next) {
		next = strchr(line, ' ');
		if (next)
			*next++ = 0;
		if (n == FIELDS_MAX || unescape(line) || strlen(line) >= TEXT_MAX)
			return -1;
		fields[n++] = line;
	}
	return n;
}

/* FNV-1a: finds damage, not malice. */
static uint32_t checksum(const char *text)
{
	uint32_t sum = 2166136261U;

	for (; *text; text++)
		sum = (sum ^ (unsigned char)*text) * 16777619U;
	return sum;
}

/* ---- journal ---- */

static int read_boot_id(char *id, size_t size)
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, id, size - 1);

	if (fd >= 0)
		close(fd);
	if (got <= 0)
		return set_problem("cannot read the boot id");
	id[got] = 0;
	id[strcspn(id, "\n")] = 0;
	return 0;
}

static int remember(const char *kind, const char *path, const char *value)
{
	struct record *record;

	if (n_records == room_for_records) {
		size_t room = room_for_records ? 2 * room_for_records : 16;
		struct record *more = realloc(records, room * sizeof(*more));

		if (!more)
			return set_problem("no memory");
		records = more;
		room_for_records = room;
	}
	record = &records[n_records];
	memset(record, 0, sizeof(*record));
	snprintf(record->kind, sizeof(record->kind), "%s", kind);
	record->path = strdup(path);
	record->value = strdup(value);
	if (!record->path || !record->value)
		return set_problem("no memory");
	n_records++;
	return 0;
}

void forget_last(void)
{
	n_records--;
	free(records[n_records].path);
	free(records[n_records].value);
}

/* All of `text` at the end of the journal, on disk; or nothing of it. */
static int append(int fd, const char *text, size_t length)
{
	off_t before = lseek(fd, 0, SEEK_END);

	if (before >= 0 && write(fd, text, length) == (ssize_t)length && fsync(fd) == 0)
		return 0;
	set_problem("cannot write the journal: %s", strerror(errno));
	if (before >= 0 && ftruncate(fd, before))
		return set_problem("cannot write the journal, nor take back what was written");
	return -1;
}

static int append_header(int fd)
{
	char id[64], line[128];

	if (read_boot_id(id, sizeof(id)))
		return -1;
	return append(fd, line, (size_t)snprintf(line, sizeof(line), "folioscope-journal 1 %s\n", id));
}

static int append_record(int fd, const struct record *record)
{
	static char body[LINE_SIZE], line[LINE_SIZE + 16];
	size_t length = (size_t)sprintf(body, "%s ", record->kind);

	length += escape(body + length, record->path);
	body[length++] = ' ';
	length += escape(body + length, record->value);
	return append(fd, line, (size_t)sprintf(line, "%08x %s\n", checksum(body), body));
}

int note(const char *kind, const char *path, const char *value)
{
	if (strlen(path) >= TEXT_MAX || strlen(value) >= TEXT_MAX)
		return set_problem("too long");
	if (journal_fd < 0) {
		journal_fd = openat(directory_fd, "journal", O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (journal_fd < 0)
			return set_problem("cannot create the journal: %s", strerror(errno));
		if (append_header(journal_fd) || fsync(directory_fd)) {
			close(journal_fd);
			journal_fd = -1;
			unlinkat(directory_fd, "journal", 0);
			return -1;
		}
	}
	if (remember(kind, path, value))
		return -1;
	if (append_record(journal_fd, &records[n_records - 1])) {
		forget_last();
		return -1;
	}
	return 0;
}

int keep_undone(void)
{
	size_t kept = 0;
	int fd, error;

	for (size_t i = 0; i < n_records; i++) {
		if (!records[i].done) {
			records[kept++] = records[i];
			continue;
		}
		free(records[i].path);
		free(records[i].value);
	}
	n_records = kept;
	fd = openat(directory_fd, "journal.new", O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	error = fd < 0 ? -1 : append_header(fd);
	for (size_t i = 0; !error && i < n_records; i++)
		error = append_record(fd, &records[i]);
	journal_fd = fd;
	return error || renameat(directory_fd, "journal.new", directory_fd, "journal") || fsync(directory_fd) ? -1 : 0;
}

int is_noted(const char *kind, const char *path)
{
	for (size_t i = 0; i < n_records; i++)
		if (!strcmp(records[i].kind, kind) && !strcmp(records[i].path, path))
			return 1;
	return 0;
}

char *read_journal(void)
{
	int fd = openat(directory_fd, "journal", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat status;
	char *text = NULL;

	if (fd < 0) {
		errno = errno == ELOOP ? 0 : errno;
		return NULL;
	}
	errno = 0;
	if (!fstat(fd, &status) && S_ISREG(status.st_mode) && status.st_uid == geteuid() && status.st_size < JOURNAL_SIZE_MAX)
		text = calloc(1, (size_t)status.st_size + 1);
	if (text && read(fd, text, (size_t)status.st_size) != status.st_size) {
		free(text);
		text = NULL;
	}
	/* A zero byte would hide what follows it. */
	if (text && strlen(text) != (size_t)status.st_size) {
		free(text);
		text = NULL;
	}
	close(fd);
	errno = 0;
	return text;
}

static int parse_record(char *line)
{
	static const char *const KINDS[] = { "set", "swapon", "cgroup", "remove" };
	char *body, *fields[FIELDS_MAX];
	uint32_t sum = (uint32_t)strtoul(line, &body, 16);

	if (body != line + 8 || *body++ != ' ' || sum != checksum(body) || split(body, fields) != 3 || fields[1][0] != '/')
		return -1;
	for (size_t i = 0; i < sizeof(KINDS) / sizeof(KINDS[0]); i++)
		if (!strcmp(fields[0], KINDS[i]))
			return remember(fields[0], fields[1], fields[2]);
	return -1;
}

int parse_journal(char *text, int *old)
{
	char id[64], boot[64];
	int line_number = 0;

	*old = 0;
	for (char *line = text, *end; *line; line = end + 1) {
		end = strchr(line, '\n');
		line_number++;
		if (!end)
			return line_number;
		*end = 0;
		if (line_number > 1) {
			if (parse_record(line))
				return line_number;
			continue;
		}
		if (sscanf(line, "folioscope-journal 1 %63s", id) != 1 || read_boot_id(boot, sizeof(boot)))
			return line_number;
		*old = strcmp(id, boot) != 0;
	}
	return line_number ? 0 : 1;
}

void close_journal(void)
{
	if (journal_fd >= 0)
		close(journal_fd);
	journal_fd = -1;
}
