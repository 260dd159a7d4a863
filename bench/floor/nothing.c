/* The floor of starting a program. */
int main(void) { return 0; }
