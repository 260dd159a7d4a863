/* What is allocated so far is what a forked child has; what comes later is not in it. */
void heap_seal(void);
/* A forked child calls this first: what it allocates goes to pages of its own. */
void heap_fresh(void);
/* In the child, next: what it has is as it was at heap_seal(), whatever the parent has written there since. */
void heap_drop(void);
/* For a process that is gone in a moment: its first blocks need no mapping. Before anything is allocated. */
void heap_small(void);
