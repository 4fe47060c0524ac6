/* What the guard changes, and how each change is undone. */
#define _GNU_SOURCE
#include "guard-changes.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <time.h>
#include <unistd.h>
#include <linux/fs.h>
#include <linux/loop.h>

#define PAGE 4096
#define RMDIR_TRIES 250
#define TRY_AGAIN_NS 20000000L

void pause_shortly(void)
{
	struct timespec time = { .tv_nsec = TRY_AGAIN_NS };

	nanosleep(&time, NULL);
}

/* ---- settings ---- */

/* The text of a file of one line; of several words the one in brackets, if one is. */
static int read_setting(const char *path, char *value)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, value, TEXT_MAX);
	char *open_bracket, *close_bracket;

	if (got < 0)
		set_problem("cannot read %s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	if (got < 0)
		return -1;
	if (got == TEXT_MAX || memchr(value, 0, (size_t)got))
		return set_problem("%s is no setting: too long, or not a text", path);
	value[got] = 0;
	if (got && value[got - 1] == '\n')
		value[got - 1] = 0;
	if (strchr(value, '\n'))
		return set_problem("%s is no setting: more than one line", path);
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
		return set_problem("cannot open %s: %s", path, strerror(errno));
	/* An empty write is no write: a line end stands for it. */
	if (write(fd, length ? value : "\n", length ? length : 1) != (ssize_t)(length ? length : 1))
		error = set_problem("cannot write '%s' to %s: %s", value, path, strerror(errno));
	if (close(fd) && !error)
		error = set_problem("cannot write '%s' to %s: %s", value, path, strerror(errno));
	return error;
}

int command_set(const char *path, const char *value, char *now)
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
		return set_problem("cannot create %s: %s", path, strerror(errno));
	error = fill(fd, bytes) || format_swap(fd, bytes) || fsync(fd);
	if (error)
		set_problem("cannot write %s: %s", path, strerror(errno));
	close(fd);
	if (!error && swapon(path, SWAP_FLAG_PREFER | SWAP_FLAG_PRIO_MASK))
		error = set_problem("cannot swap to %s: %s", path, strerror(errno));
	return error ? -1 : 0;
}

/* A block device that reads and writes the open file, and is gone with its last user: its descriptor, and its name. -1 and errno without one. */
static int loop_device(int fd, char *name, size_t size)
{
	struct loop_config config = { .fd = (uint32_t)fd, .info.lo_flags = LO_FLAGS_AUTOCLEAR };
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), number, device = -1;

	if (control < 0)
		return -1;
	/* Somebody else may be faster with the one that was free. */
	for (int tries = 0; device < 0 && tries < 8; tries++) {
		number = ioctl(control, LOOP_CTL_GET_FREE);
		if (number < 0)
			break;
		snprintf(name, size, "/dev/loop%d", number);
		device = open(name, O_RDWR | O_CLOEXEC);
		if (device >= 0 && ioctl(device, LOOP_CONFIGURE, &config)) {
			int error = errno;

			close(device);
			device = -1;
			errno = error;
			if (error != EBUSY)
				break;
		}
	}
	close(control);
	return device;
}

/* The block device that has `path` below it. 0 if there is one. */
static int find_loop_device(const char *path, char *name, size_t size)
{
	glob_t found;
	int error = -1;

	if (glob("/sys/block/loop*/loop/backing_file", 0, NULL, &found))
		return -1;
	for (size_t i = 0; error && i < found.gl_pathc; i++) {
		char text[TEXT_MAX] = "";
		int fd = open(found.gl_pathv[i], O_RDONLY | O_CLOEXEC);
		ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

		if (fd >= 0)
			close(fd);
		text[got > 0 ? strcspn(text, "\n") : 0] = 0;
		if (strcmp(text, path))
			continue;
		snprintf(name, size, "/dev/%.*s", (int)strcspn(found.gl_pathv[i] + 11, "/"), found.gl_pathv[i] + 11);
		error = 0;
	}
	globfree(&found);
	return error;
}

static int make_swap_device(const char *path, uint64_t bytes)
{
	char name[32] = "a loop device";
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600), device;

	if (fd < 0)
		return set_problem("cannot create %s: %s", path, strerror(errno));
	/* What is never swapped takes no room. */
	if (ftruncate(fd, (off_t)bytes) || format_swap(fd, bytes) || fsync(fd)) {
		set_problem("cannot write %s: %s", path, strerror(errno));
		close(fd);
		return -1;
	}
	device = loop_device(fd, name, sizeof(name));
	close(fd);
	if (device < 0)
		return set_problem("cannot make a block device of %s: %s", path, strerror(errno));
	if (swapon(name, SWAP_FLAG_PREFER | SWAP_FLAG_PRIO_MASK)) {
		set_problem("cannot swap to %s: %s", name, strerror(errno));
		close(device);
		return -1;
	}
	close(device);
	return 0;
}

static int undo_swap(const char *path)
{
	char name[32];

	if (!find_loop_device(path, name, sizeof(name)) && swapoff(name) && errno != EINVAL)
		return set_problem("swapoff %s: %s", name, strerror(errno));
	/* EINVAL: it was not used yet, or no more. */
	if (swapoff(path) && errno != EINVAL && errno != ENOENT)
		return set_problem("swapoff: %s", strerror(errno));
	return unlink(path) && errno != ENOENT ? set_problem("unlink: %s", strerror(errno)) : 0;
}

int command_swapon(const char *path, const char *size, int device)
{
	char *end;
	uint64_t bytes = strtoull(size, &end, 10);
	struct stat status;

	if (*end || bytes % PAGE || bytes < 10 * PAGE)
		return set_problem("a swap file has at least 10 pages of 4096 bytes, not '%s' bytes", size);
	if (!lstat(path, &status))
		return set_problem("%s exists", path);
	if (!is_noted("swapon", path) && note("swapon", path, size))
		return -1;
	if (!(device ? make_swap_device : make_swap)(path, bytes))
		return 0;
	/* Of a failed one nothing stays but its line in the journal, whose undoing does no harm. */
	swapoff(path);
	unlink(path);
	return -1;
}

int command_swapoff(const char *path)
{
	return is_noted("swapon", path) ? undo_swap(path) : set_problem("%s is no swap area of this run", path);
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
				set_problem("process %d does not leave: %s", pid, strerror(errno));
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
	return set_problem("rmdir: %s", strerror(errno));
}

int command_cgroup(const char *path)
{
	struct stat status;

	if (!lstat(path, &status))
		return set_problem("%s exists", path);
	if (note("cgroup", path, ""))
		return -1;
	return mkdir(path, 0755) ? set_problem("cannot create %s: %s", path, strerror(errno)) : 0;
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

int command_remove(const char *path)
{
	char identity[64], real[PATH_MAX];

	if (identify(path, identity, sizeof(identity)))
		return set_problem("%s: %s", path, strerror(errno));
	/* No mistake of a caller should cost more than a scratch directory. */
	if (!realpath(path, real) || strcmp(real, path) || !strchr(path + 1, '/'))
		return set_problem("%s is not the plain name of a directory below another", path);
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
		return errno == ENOENT ? 0 : set_problem("%s", strerror(errno));
	if (strcmp(now, identity))
		return set_problem("is another directory by now");
	return nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) ? set_problem("%s", strerror(errno)) : 0;
}

/* ---- undoing ---- */

int undo(const struct record *record)
{
	if (!strcmp(record->kind, "set"))
		return write_setting(record->path, record->value);
	if (!strcmp(record->kind, "swapon"))
		return undo_swap(record->path);
	if (!strcmp(record->kind, "cgroup"))
		return undo_cgroup(record->path);
	return undo_remove(record->path, record->value);
}
