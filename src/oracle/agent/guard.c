/*
 * agent guard DIRECTORY [--no-wait]
 *
 * Changes settings of the machine on command and gives them back when stdin ends, or at SIGTERM, SIGINT, SIGHUP. One at a time: it holds
 * a lock in DIRECTORY. What it changed is in a journal there, written before the change; the guard after one that was killed undoes that
 * first. It stands in a session of its own, so Ctrl-C in the terminal is not for it.
 *
 * Before it takes commands it prints, as they apply,
 *   waiting for PID             another run has the lock (with --no-wait: "held by PID", and it exits with 4)
 *   restored WHAT               undone from the journal of a killed run
 *   failed WHAT: TEXT           could not be undone; stays in the journal
 *   discarded TEXT              a journal that is not applied: damaged, or of an earlier boot
 *   ready
 * Then it reads one command a line; fields are separated by one space, bytes up to space, '%' and DEL in them are written as %XX:
 *   set PATH VALUE              write VALUE into the file; of a file like "always [madvise] never" the word in brackets is kept
 *   swapon PATH BYTES           make a swap file and use it, before any other swap
 *   cgroup PATH                 make a control group; at the end its processes move to the group above
 *   remove PATH                 an existing directory to delete at the end, with all in it
 * and answers each with a line "ok" (of set: "ok VALUE", what the file says now) or "error TEXT". At the end: "failed" lines if any.
 * Exit status 0: all undone; 1: not all; 2: usage; 4: cannot have the lock or the directory.
 */
#define _GNU_SOURCE
#include "guard.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <time.h>
#include <unistd.h>
#include <linux/fs.h>

#define TEXT_MAX 4096
/* A line holds two texts, every byte of which may have become three. */
#define LINE_SIZE (6 * TEXT_MAX + 64)
#define JOURNAL_SIZE_MAX (16L << 20)
#define FIELDS_MAX 4
#define PAGE 4096
#define RMDIR_TRIES 250
#define TRY_AGAIN_NS 20000000L

/* What one line of the journal undoes. `value`: of set the old value, of remove the directory's "device:inode". */
struct record {
	char kind[8];
	char *path;
	char *value;
	int done;
};

static struct record *records;
static size_t n_records, room_for_records;
static int directory_fd = -1, journal_fd = -1;
static char problem[TEXT_MAX];
static sigset_t ending_signals;

static int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int fail(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(problem, sizeof(problem), format, list);
	va_end(list);
	return -1;
}

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Nobody may be listening any more; that is no reason to stop. */
static void say(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vprintf(format, list);
	va_end(list);
	putchar('\n');
	fflush(stdout);
}

static void pause_shortly(void)
{
	struct timespec time = { .tv_nsec = TRY_AGAIN_NS };

	nanosleep(&time, NULL);
}

/* ---- lines ---- */

static size_t escape(char *to, const char *from)
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

/* Cuts `line` at its spaces. Number of fields, -1 if they are too many or wrongly written. */
static int split(char *line, char **fields)
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
		return fail("cannot read the boot id");
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
			return fail("no memory");
		records = more;
		room_for_records = room;
	}
	record = &records[n_records];
	memset(record, 0, sizeof(*record));
	snprintf(record->kind, sizeof(record->kind), "%s", kind);
	record->path = strdup(path);
	record->value = strdup(value);
	if (!record->path || !record->value)
		return fail("no memory");
	n_records++;
	return 0;
}

static void forget_last(void)
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
	fail("cannot write the journal: %s", strerror(errno));
	if (before >= 0 && ftruncate(fd, before))
		return fail("cannot write the journal, nor take back what was written");
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

/* Puts down how to undo what is about to be done. */
static int note(const char *kind, const char *path, const char *value)
{
	if (strlen(path) >= TEXT_MAX || strlen(value) >= TEXT_MAX)
		return fail("too long");
	if (journal_fd < 0) {
		journal_fd = openat(directory_fd, "journal", O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (journal_fd < 0)
			return fail("cannot create the journal: %s", strerror(errno));
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

/* Keeps what is not done yet, here and in the journal, which stays open for more. */
static int keep_undone(void)
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

/* ---- settings ---- */

/* The text of a file of one line; of several words the one in brackets, if one is. */
static int read_setting(const char *path, char *value)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, value, TEXT_MAX);
	char *open_bracket, *close_bracket;

	if (got < 0)
		fail("cannot read %s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	if (got < 0)
		return -1;
	if (got == TEXT_MAX || memchr(value, 0, (size_t)got))
		return fail("%s is no setting: too long, or not a text", path);
	value[got] = 0;
	if (got && value[got - 1] == '\n')
		value[got - 1] = 0;
	if (strchr(value, '\n'))
		return fail("%s is no setting: more than one line", path);
	open_bracket = strchr(value, '[');
	close_bracket = open_bracket ? strchr(open_bracket, ']') : NULL;
	if (close_bracket && (open_bracket == value || open_bracket[-1] == ' ') && (!close_bracket[1] || close_bracket[1] == ' ')) {
		*close_bracket = 0;
		memmove(value, open_bracket + 1, strlen(open_bracket + 1) + 1);
	}
	return 0;
}

static int write_setting(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	size_t length = strlen(value);
	int error = 0;

	if (fd < 0)
		return fail("cannot open %s: %s", path, strerror(errno));
	/* An empty write is no write: a line end stands for it. */
	if (write(fd, length ? value : "\n", length ? length : 1) != (ssize_t)(length ? length : 1))
		error = fail("cannot write '%s' to %s: %s", value, path, strerror(errno));
	if (close(fd) && !error)
		error = fail("cannot write '%s' to %s: %s", value, path, strerror(errno));
	return error;
}

static int is_noted(const char *kind, const char *path)
{
	for (size_t i = 0; i < n_records; i++)
		if (!strcmp(records[i].kind, kind) && !strcmp(records[i].path, path))
			return 1;
	return 0;
}

static int command_set(const char *path, const char *value, char *now)
{
	char old[TEXT_MAX];

	if (read_setting(path, old))
		return -1;
	/* What the first change found is what comes back. */
	if (!is_noted("set", path) && note("set", path, old))
		return -1;
	return write_setting(path, value) || read_setting(path, now) ? -1 : 0;
}

/* ---- swap ---- */

/* What mkswap writes (union swap_header). */
static int format_swap(int fd, uint64_t bytes)
{
	static char page[PAGE];
	uint32_t numbers[3] = { 1, (uint32_t)(bytes / PAGE - 1), 0 };

	memset(page, 0, sizeof(page));
	memcpy(page + 1024, numbers, sizeof(numbers));
	memcpy(page + PAGE - 10, "SWAPSPACE2", 10);
	return pwrite(fd, page, PAGE, 0) == PAGE ? 0 : -1;
}

static int fill(int fd, uint64_t bytes)
{
	static char zeros[1 << 16];
	int flags = 0;

	/* A swap file must not be copied on write; where that means nothing, nothing happens. */
	if (!ioctl(fd, FS_IOC_GETFLAGS, &flags)) {
		flags |= FS_NOCOW_FL;
		ioctl(fd, FS_IOC_SETFLAGS, &flags);
	}
	if (!fallocate(fd, 0, 0, (off_t)bytes))
		return 0;
	if (errno != EOPNOTSUPP)
		return -1;
	for (uint64_t at = 0; at < bytes;) {
		size_t n = bytes - at < sizeof(zeros) ? (size_t)(bytes - at) : sizeof(zeros);
		ssize_t written = pwrite(fd, zeros, n, (off_t)at);

		if (written <= 0)
			return -1;
		at += (uint64_t)written;
	}
	return 0;
}

static int make_swap(const char *path, uint64_t bytes)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int error;

	if (fd < 0)
		return fail("cannot create %s: %s", path, strerror(errno));
	error = fill(fd, bytes) || format_swap(fd, bytes) || fsync(fd);
	if (error)
		fail("cannot write %s: %s", path, strerror(errno));
	close(fd);
	if (!error && swapon(path, SWAP_FLAG_PREFER | SWAP_FLAG_PRIO_MASK))
		error = fail("cannot swap to %s: %s", path, strerror(errno));
	return error ? -1 : 0;
}

static int undo_swap(const char *path)
{
	/* EINVAL: it was not used yet, or no more. */
	if (swapoff(path) && errno != EINVAL && errno != ENOENT)
		return fail("swapoff: %s", strerror(errno));
	return unlink(path) && errno != ENOENT ? fail("unlink: %s", strerror(errno)) : 0;
}

static int command_swapon(const char *path, const char *size)
{
	char *end;
	uint64_t bytes = strtoull(size, &end, 10);
	struct stat status;

	if (*end || bytes % PAGE || bytes < 10 * PAGE)
		return fail("a swap file has at least 10 pages of 4096 bytes, not '%s' bytes", size);
	if (!lstat(path, &status))
		return fail("%s exists", path);
	if (note("swapon", path, size))
		return -1;
	if (!make_swap(path, bytes))
		return 0;
	/* Of a failed one nothing stays but its line in the journal, whose undoing does no harm. */
	swapoff(path);
	unlink(path);
	return -1;
}

/* ---- control groups ---- */

/* Moves every process of group `path` to the one above. */
static void move_processes(const char *path)
{
	char from[TEXT_MAX + 16], to[TEXT_MAX + 16];
	FILE *list;
	int pid;

	snprintf(from, sizeof(from), "%s/cgroup.procs", path);
	snprintf(to, sizeof(to), "%s/../cgroup.procs", path);
	list = fopen(from, "re");
	while (list && fscanf(list, "%d", &pid) == 1) {
		int fd = open(to, O_WRONLY | O_CLOEXEC);

		/* One that is gone meanwhile need not move; what stays is seen by rmdir. */
		if (fd >= 0) {
			if (dprintf(fd, "%d", pid) < 0)
				fail("process %d does not leave: %s", pid, strerror(errno));
			close(fd);
		}
	}
	if (list)
		fclose(list);
}

static int undo_cgroup(const char *path)
{
	for (int i = 0; i < RMDIR_TRIES; i++) {
		if (!rmdir(path) || errno == ENOENT)
			return 0;
		if (errno != EBUSY)
			break;
		move_processes(path);
		if (i)
			pause_shortly();
	}
	return fail("rmdir: %s", strerror(errno));
}

static int command_cgroup(const char *path)
{
	struct stat status;

	if (!lstat(path, &status))
		return fail("%s exists", path);
	if (note("cgroup", path, ""))
		return -1;
	return mkdir(path, 0755) ? fail("cannot create %s: %s", path, strerror(errno)) : 0;
}

/* ---- directories ---- */

static int identify(const char *path, char *identity, size_t size)
{
	struct stat status;

	if (lstat(path, &status))
		return -1;
	if (!S_ISDIR(status.st_mode)) {
		errno = ENOTDIR;
		return -1;
	}
	snprintf(identity, size, "%jx:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino);
	return 0;
}

static int command_remove(const char *path)
{
	char identity[64], real[PATH_MAX];

	if (identify(path, identity, sizeof(identity)))
		return fail("%s: %s", path, strerror(errno));
	/* No mistake of a caller should cost more than a scratch directory. */
	if (!realpath(path, real) || strcmp(real, path) || !strchr(path + 1, '/'))
		return fail("%s is not the plain name of a directory below another", path);
	return note("remove", path, identity);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
	(void)status;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int undo_remove(const char *path, const char *identity)
{
	char now[64];

	if (identify(path, now, sizeof(now)))
		return errno == ENOENT ? 0 : fail("%s", strerror(errno));
	if (strcmp(now, identity))
		return fail("is another directory by now");
	return nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) ? fail("%s", strerror(errno)) : 0;
}

/* ---- undoing ---- */

static int undo(const struct record *record)
{
	if (!strcmp(record->kind, "set"))
		return write_setting(record->path, record->value);
	if (!strcmp(record->kind, "swapon"))
		return undo_swap(record->path);
	if (!strcmp(record->kind, "cgroup"))
		return undo_cgroup(record->path);
	return undo_remove(record->path, record->value);
}

/* Undoes all, the last first. 0 if all went well, and the journal is gone; otherwise 1, and what is left may be tried again. */
static int undo_all(int tell)
{
	int failed = 0;

	for (size_t i = n_records; i-- > 0;) {
		struct record *record = &records[i];

		record->done = !undo(record);
		if (!record->done) {
			failed = 1;
			say("failed %s %s: %s", record->kind, record->path, problem);
		} else if (tell) {
			say("restored %s %s%s%s", record->kind, record->path, strcmp(record->kind, "set") ? "" : " ",
			    strcmp(record->kind, "set") ? "" : record->value);
		}
	}
	if (journal_fd >= 0)
		close(journal_fd);
	journal_fd = -1;
	if (failed) {
		if (keep_undone())
			say("failed journal: %s", strerror(errno));
		return 1;
	}
	while (n_records)
		forget_last();
	if (unlinkat(directory_fd, "journal", 0) && errno != ENOENT) {
		say("failed journal: %s", strerror(errno));
		return 1;
	}
	return 0;
}

/* The journal's text; NULL and errno if there is none, errno 0 if it is not one of ours. */
static char *read_journal(void)
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

/* Takes the records out of `text`. Number of the first line that is not what it should be, 0 if all are; *old: of an earlier boot. */
static int parse_journal(char *text, int *old)
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

/* What a killed run left is undone, unless the journal cannot be trusted. */
static void recover(void)
{
	char *text = read_journal();
	int old = 0, wrong;

	if (!text && errno == ENOENT)
		return;
	wrong = text ? parse_journal(text, &old) : 1;
	free(text);
	if (!wrong && !old) {
		undo_all(1);
		return;
	}
	if (wrong)
		say("discarded a damaged journal (line %d): it is kept as journal.damaged, nothing was restored", wrong);
	else
		say("discarded the journal of an earlier boot");
	for (size_t i = 0; !wrong && i < n_records; i++)
		if (!strcmp(records[i].kind, "swapon") || !strcmp(records[i].kind, "remove"))
			say("discarded %s %s: may still be there", records[i].kind, records[i].path);
	while (n_records)
		forget_last();
	if (wrong ? renameat(directory_fd, "journal", directory_fd, "journal.damaged") : unlinkat(directory_fd, "journal", 0))
		say("failed journal: %s", strerror(errno));
}

/* ---- lock ---- */

static int is_abandoned(void)
{
	struct pollfd in = { .fd = 0, .events = POLLRDHUP };
	struct timespec none = { 0 };

	if (sigtimedwait(&ending_signals, NULL, &none) > 0)
		return 1;
	return poll(&in, 1, 0) > 0 && (in.revents & (POLLHUP | POLLRDHUP | POLLERR | POLLNVAL));
}

static int take_lock(const char *directory, int wait)
{
	char holder[32] = "", pid[32];
	int fd, told = 0;

	directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory_fd < 0 && errno == ENOENT) {
		if (mkdir(directory, 0755) && errno != EEXIST)
			return fail("cannot create %s: %s", directory, strerror(errno));
		directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	fd = directory_fd < 0 ? -1 : openat(directory_fd, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return fail("cannot open %s/lock: %s", directory, strerror(errno));
	/* The descriptor stays open for as long as we live, and holds the lock. */
	while (flock(fd, LOCK_EX | LOCK_NB)) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return fail("cannot lock %s/lock: %s", directory, strerror(errno));
		if (!told) {
			ssize_t got = pread(fd, holder, sizeof(holder) - 1, 0);

			holder[got > 0 ? got : 0] = 0;
			say("%s %s", wait ? "waiting for" : "held by", holder);
		}
		told = 1;
		if (!wait || is_abandoned())
			return fail("another run holds the lock");
		pause_shortly();
	}
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	if (ftruncate(fd, 0) || pwrite(fd, pid, strlen(pid), 0) < 0)
		return fail("cannot write %s/lock: %s", directory, strerror(errno));
	return 0;
}

/* ---- commands ---- */

static void answer(char *line)
{
	char *fields[FIELDS_MAX], now[TEXT_MAX] = "";
	static char escaped[3 * TEXT_MAX + 1];
	int n = split(line, fields), error;

	if (n < 2 || fields[1][0] != '/' || strchr(fields[1], '\n'))
		error = fail("not a command with an absolute path");
	else if (!strcmp(fields[0], "set") && n == 3)
		error = command_set(fields[1], fields[2], now);
	else if (!strcmp(fields[0], "swapon") && n == 3)
		error = command_swapon(fields[1], fields[2]);
	else if (!strcmp(fields[0], "cgroup") && n == 2)
		error = command_cgroup(fields[1]);
	else if (!strcmp(fields[0], "remove") && n == 2)
		error = command_remove(fields[1]);
	else
		error = fail("unknown command");
	if (error) {
		/* Answers are lines, whatever is in a path. */
		for (char *at = problem; *at; at++)
			if (*at == '\n')
				*at = ' ';
		say("error %s", problem);
	} else if (*now) {
		escape(escaped, now);
		say("ok %s", escaped);
	} else {
		say("ok");
	}
}

/* Answers commands until stdin ends or a signal says so. Signals are open only while nothing is being done. */
static void serve(const sigset_t *usual_signals)
{
	static char buffer[LINE_SIZE];
	size_t length = 0;

	for (;;) {
		struct pollfd in = { .fd = 0, .events = POLLIN };
		ssize_t got;
		char *line = buffer, *end;

		if (ppoll(&in, 1, NULL, usual_signals) < 0)
			return;
		got = read(0, buffer + length, sizeof(buffer) - 1 - length);
		if (got <= 0)
			return;
		length += (size_t)got;
		buffer[length] = 0;
		while ((end = memchr(line, '\n', (size_t)(buffer + length - line)))) {
			*end = 0;
			answer(line);
			line = end + 1;
		}
		length -= (size_t)(line - buffer);
		memmove(buffer, line, length);
		if (length == sizeof(buffer) - 1) {
			say("error the line is too long");
			return;
		}
	}
}

static void on_signal(int signal)
{
	(void)signal; /* It has ended ppoll. */
}

int guard_main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	sigset_t usual;
	int wait = argc != 3 || strcmp(argv[2], "--no-wait");

	if (argc < 2 || argc > 3 || (argc == 3 && wait)) {
		fprintf(stderr, "guard DIRECTORY [--no-wait]\n");
		return 2;
	}
	setsid();
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&ending_signals);
	sigaddset(&ending_signals, SIGTERM);
	sigaddset(&ending_signals, SIGINT);
	sigaddset(&ending_signals, SIGHUP);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	sigemptyset(&usual);
	sigprocmask(SIG_BLOCK, &ending_signals, NULL);
	if (take_lock(argv[1], wait)) {
		say("error %s", problem);
		return 4;
	}
	/* Paths are absolute from here on; nobody's directory should be kept busy. */
	if (chdir("/"))
		say("failed chdir: %s", strerror(errno));
	recover();
	say("ready");
	serve(&usual);
	return undo_all(0);
}
