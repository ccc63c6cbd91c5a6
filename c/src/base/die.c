#include "die.h"

#include <stdlib.h>
#include <unistd.h>

void lg_die(const struct lg_part *parts, size_t count)
{
    char line[512];
    size_t used = 0;
#define APPEND(text, len)                                   \
    do {                                                    \
        size_t n_ = lg_min((len), sizeof(line) - 1 - used); \
        memcpy(line + used, (text), n_);                    \
        used += n_;                                         \
    } while (0)
    APPEND("lgalloc: ", 9);
    for (size_t i = 0; i < count; i++) {
        if (parts[i].text != NULL) {
            APPEND(parts[i].text, strlen(parts[i].text));
            continue;
        }
        char digits[18] = "0x";
        size_t n = 2;
        for (int shift = 60; shift >= 0; shift -= 4)
            if (n > 2 || shift == 0 || (parts[i].number >> shift) != 0)
                digits[n++] = "0123456789abcdef"[parts[i].number >> shift & 15];
        APPEND(digits, n);
    }
#undef APPEND
    line[used++] = '\n';
    ssize_t ignored = write(STDERR_FILENO, line, used);
    (void)ignored;
    abort();
}
