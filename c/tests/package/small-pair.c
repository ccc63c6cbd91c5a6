/* So many small blocks taken and given back: check-instructions.sh counts what they take with the preload library and without. */
#include <stdlib.h>

int main(int argc, char **argv)
{
    for (long i = argc == 2 ? atol(argv[1]) : 0; i > 0; i--) {
        void *volatile block = malloc(100);
        free(block);
    }
    return 0;
}
