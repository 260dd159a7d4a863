/* What is allocated so far is what a forked child keeps. */
void heap_seal(void);
/* A forked child calls this first: what it allocates goes to pages of its own. */
void heap_fresh(void);
/* In the child: nothing that the parent allocated after heap_seal() is used any more. */
void heap_drop(void);
/* For a process that is gone in a moment: its first blocks need no mapping. Before anything is allocated. */
void heap_small(void);
