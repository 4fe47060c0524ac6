// A cache that forks a snapshot, locks its arena and moves it with MREMAP_DONTUNMAP: Linux counts the locked pages twice from then on.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#define PAGES 96
#define P 4096
int main(void) {
  char *arena = mmap(NULL, PAGES * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char *heap[64];
  for (int i = 0; i < 64; i++) { heap[i] = malloc(3 * P); memset(heap[i], i, 3 * P); }
  for (int i = 0; i < PAGES; i++) arena[i * P] = i;
  pid_t snapshot = fork();
  if (snapshot == 0) {
    for (int i = 0; i < PAGES; i += 2) arena[i * P] = 1;
    for (int i = 0; i < 64; i++) heap[i][0]++;
    _exit(0);
  }
  waitpid(snapshot, NULL, 0);
  for (int i = 0; i < PAGES; i++) arena[i * P]++;
  if (mlock(arena, 16 * P) != 0) { perror("mlock"); return 1; }
  char *moved = mremap(arena, 16 * P, 16 * P, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
  if (moved == MAP_FAILED) { perror("mremap"); return 1; }
  for (int i = 0; i < 16; i++) moved[i * P]++;
  for (int i = 0; i < 64; i++) free(heap[i]);
  return 0;
}
