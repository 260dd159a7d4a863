/* The heap: malloc(3) for a process that is forked a thousand times.
 *
 * Blocks of all sizes stand side by side in the order they were asked for, so
 * that a child's few kilobytes of objects fill one or two pages of its own;
 * the C library's allocator spreads them over a page for each size, and each
 * of these is copied after fork(2).  heap_seal() says what a forked child will
 * need of its parent and keeps a second copy of it, which nobody writes to;
 * heap_fresh() makes the child begin on pages of its own; heap_drop() puts the
 * copy in place of what the parent has written to since. What was allocated
 * after heap_seal() is not in a child at all (madvise(2), MADV_DONTFORK): it
 * need not be copied, by neither of the two. So a page counts for a child only
 * once the child itself writes to it.
 *
 * A block is 8 bytes of header (its class), then the payload, 16-byte aligned.
 * Classes: multiples of 16 up to 528 (the runtime's lists begin with 512
 * bytes), then four steps to each doubling up to 64 KiB; freed blocks wait in a list for their class.  Anything larger is
 * mapped and unmapped by itself.  Single-threaded, as upkeep is. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "upkeep_heap.h"

#define SMALL 528u
#define LARGEST 65536u
#define SMALL_CLASSES (SMALL / 16)
#define CLASSES (SMALL_CLASSES + 28)
#define MAPPED 0xffffu
#define CHUNK (128u * 1024)
#define PAGE 4096u

struct gap { struct gap *next; };
static struct gap *gaps[CLASSES];
static uint8_t *chunk, *chunk_end;
static uint8_t *newest;     /* the start of the chunk */
static uint8_t *kept, *sealed; /* what a child keeps: from one to the other */
static uint8_t *pristine;   /* a copy of that, as it was when it was sealed */

/* Size of a block (header and payload) of a class. */
static size_t class_size(unsigned c) {
  if (c < SMALL_CLASSES) return (c + 1) * 16;
  unsigned step = c - SMALL_CLASSES;
  return (size_t)(5 + step % 4) << (7 + step / 4);
}

/* The smallest class whose block holds `size` bytes, header included. */
static unsigned class_of(size_t size) {
  if (size <= SMALL) return (unsigned)((size + 15) / 16 - 1);
  unsigned c = SMALL_CLASSES;
  while (class_size(c) < size) c++;
  return c;
}

static uint64_t *header(void *p) { return (uint64_t *)((uint8_t *)p - 8); }

/* For a program that is gone in a moment: its first blocks fill the page of
 * variables that upkeep.ld leaves unused behind `once_end`, then `small`, which
 * begins in the rest of another such page. */
static uint8_t small[20 * 1024] __attribute__((aligned(16)));
static uint8_t *next, *next_end;
extern uint8_t once_end[];
void heap_small(void) {
  chunk = (uint8_t *)((uintptr_t)once_end | 15) + 9; /* 8 below a multiple of 16 */
  chunk_end = (uint8_t *)((uintptr_t)once_end | (PAGE - 1)) + 1;
  next = small + 8;
  next_end = small + sizeof small;
}

static void *map(size_t size) {
  void *p = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return 0;
  if (sealed) madvise(p, size, MADV_DONTFORK);
  return p;
}

/* Mapped blocks: size in the first 8 bytes, header behind it. */
static void *map_block(size_t size) {
  if (size > SIZE_MAX - 2 * PAGE) { errno = ENOMEM; return 0; }
  size_t total = (size + 16 + PAGE - 1) & ~(size_t)(PAGE - 1);
  uint8_t *p = map(total);
  if (!p) { errno = ENOMEM; return 0; }
  *(uint64_t *)p = total;
  *(uint64_t *)(p + 8) = MAPPED;
  return p + 16;
}

static void *carve(size_t size) {
  if (next && (size_t)(chunk_end - chunk) < size) {
    if (size > SMALL && (size_t)(next_end - next) >= size) { /* The small ones still fill the rest. */
      next += size;
      return next - size;
    }
    chunk = next;
    chunk_end = next_end;
    next = 0;
  }
  if (!chunk || (size_t)(chunk_end - chunk) < size) {
    uint8_t *p = map(CHUNK);
    if (!p) { errno = ENOMEM; return 0; }
    newest = p;
    chunk = p + 8;  /* payloads are 16-byte aligned behind an 8-byte header */
    chunk_end = p + CHUNK;
  }
  void *p = chunk;
  chunk += size;
  return p;
}

/* A block; *zero says whether its bytes have never been used. */
static void *allocate(size_t n, int *zero) {
  *zero = 1;
  if (n > LARGEST - 8) return map_block(n);
  unsigned c = class_of(n + 8);
  struct gap *g = gaps[c];
  if (g) {
    *zero = 0;
    gaps[c] = g->next;
    return g;
  }
  uint8_t *p = carve(class_size(c));
  if (!p) return 0;
  *(uint64_t *)p = c;
  return p + 8;
}

void *malloc(size_t n) {
  int zero;
  return allocate(n, &zero);
}

void free(void *p) {
  if (!p) return;
  uint64_t c = *header(p);
  if (c == MAPPED) {
    uint8_t *start = (uint8_t *)p - 16;
    munmap(start, *(uint64_t *)start);
    return;
  }
  struct gap *g = p;
  g->next = gaps[c];
  gaps[c] = g;
}

static size_t room(void *p) {
  uint64_t c = *header(p);
  return c == MAPPED ? *(uint64_t *)((uint8_t *)p - 16) - 16 : class_size((unsigned)c) - 8;
}

void *calloc(size_t a, size_t b) {
  size_t n;
  if (__builtin_mul_overflow(a, b, &n)) { errno = ENOMEM; return 0; }
  int zero;
  void *p = allocate(n, &zero);
  if (p && !zero) memset(p, 0, n);
  return p;
}

void *realloc(void *p, size_t n) {
  if (!p) return malloc(n);
  size_t have = room(p);
  if (n <= have && (have <= LARGEST || n > have / 2)) return p;
  void *q = malloc(n);
  if (!q) return 0;
  memcpy(q, p, n < have ? n : have);
  free(p);
  return q;
}

/* Every block is 16-byte aligned; nothing here asks for more. */
void *aligned_alloc(size_t align, size_t n) {
  if (align > 16) { errno = EINVAL; return 0; }
  return malloc(n);
}
void *memalign(size_t align, size_t n) { return aligned_alloc(align, n); }
size_t malloc_usable_size(void *p) { return p ? room(p) : 0; }

static uint8_t *page_above(uint8_t *p) { return (uint8_t *)(((uintptr_t)p + PAGE - 1) & ~(uintptr_t)(PAGE - 1)); }

void heap_seal(void) {
  memset(gaps, 0, sizeof gaps);
  if (!chunk || sealed) return;
  uint8_t *end = page_above(chunk);
  kept = newest;
  pristine = map((size_t)(end - kept));
  if (pristine) memcpy(pristine, kept, (size_t)(end - kept));
  if (end < chunk_end) madvise(end, (size_t)(chunk_end - end), MADV_DONTFORK);
  sealed = end;
  chunk = end < chunk_end ? end + 8 : chunk_end;
}

void heap_fresh(void) {
  memset(gaps, 0, sizeof gaps);
  newest = chunk = chunk_end = 0;
}

void heap_drop(void) {
  if (!sealed) return;
  size_t n = (size_t)(sealed - kept);
  sealed = 0;
  /* Where it fails, the parent's pages do as well: they only cost more. */
  if (pristine) (void)mremap(pristine, n, n, MREMAP_MAYMOVE | MREMAP_FIXED, kept);
}
