/* The service that ends at once. */
#include "mark.h"
int main(void) {
  mark();
  return 1;
}
