/* A forked child calls this first: what it allocates goes to pages of its own. */
void heap_fresh(void);
