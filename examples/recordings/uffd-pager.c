/*
 * A pager: memory that comes from elsewhere page by page when it is first touched, and of which is known what was written to since.
 *
 *   cc -O1 -pthread -o uffd-pager uffd-pager.c
 *   strace -f -o uffd-pager.strace ./uffd-pager
 *
 * The handler thread sleeps in poll, reads who waits for what, copies the page in write-protected, and takes the protection away at the first write.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096UL
#define PAGES 16

static int uffd;
static char *memory, *source;
static unsigned char dirty[PAGES];

static void *handler(void *unused)
{
	(void)unused;
	for (;;) {
		struct pollfd ready = {.fd = uffd, .events = POLLIN};
		struct uffd_msg message;
		unsigned long page;

		if (poll(&ready, 1, -1) < 0 || read(uffd, &message, sizeof(message)) != sizeof(message))
			continue;
		if (message.event == UFFD_EVENT_REMOVE)
			continue;
		if (message.event != UFFD_EVENT_PAGEFAULT)
			return NULL;
		page = message.arg.pagefault.address & ~(PAGE - 1);
		if (message.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP) {
			struct uffdio_writeprotect written = {.range = {page, PAGE}};

			dirty[(page - (unsigned long)memory) / PAGE] = 1;
			ioctl(uffd, UFFDIO_WRITEPROTECT, &written);
		} else {
			struct uffdio_copy copy = {.dst = page, .len = PAGE, .mode = UFFDIO_COPY_MODE_WP};

			copy.src = (unsigned long)source + (page - (unsigned long)memory);
			ioctl(uffd, UFFDIO_COPY, &copy);
		}
	}
}

int main(void)
{
	struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_EVENT_UNMAP};
	struct uffdio_register watched = {.mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP};
	pthread_t thread;
	unsigned sum = 0;

	uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) < 0)
		return 1;
	source = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < PAGES; i++)
		memset(source + i * PAGE, i + 1, PAGE);
	watched.range.start = (unsigned long)memory;
	watched.range.len = PAGES * PAGE;
	if (ioctl(uffd, UFFDIO_REGISTER, &watched) < 0 || pthread_create(&thread, NULL, handler, NULL))
		return 1;
	for (int i = 0; i < PAGES; i += 2)
		sum += (unsigned char)memory[i * PAGE];
	for (int i = 0; i < PAGES; i += 4)
		memory[i * PAGE] = 1;
	for (int i = 0; i < PAGES; i++)
		sum += dirty[i];
	/* What was given up comes anew. */
	madvise(memory, 4 * PAGE, MADV_DONTNEED);
	sum += (unsigned char)memory[0];
	munmap(memory, PAGES * PAGE);
	pthread_join(thread, NULL);
	printf("%u\n", sum);
	return sum != 69;
}
