#include "bytes.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct bytes_text bytes_text(size_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    struct bytes_text text;
    size_t unit = 0;
    double value = (double)bytes;

    for (; value >= 1024 && unit + 1 < sizeof units / sizeof *units; unit++)
        value /= 1024;
    snprintf(text.text, sizeof text.text, value == (double)(size_t)value ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return text;
}

bool bytes_parse(const char *text, size_t *out_bytes)
{
    static const char prefixes[] = "kmgt";
    char *end = NULL;

    double value = strtod(text, &end);
    /* Not what strtod() takes besides: signs, exponents, "inf", hexadecimal. */
    if (end == text || (size_t)(end - text) != strspn(text, "0123456789."))
        return false;
    end += strspn(end, " ");
    const char *const prefix = *end != '\0' ? strchr(prefixes, *end | 0x20) : NULL;
    if (prefix != NULL) {
        end++;
        for (const char *unit = prefixes; unit <= prefix; unit++)
            value *= 1024;
    }
    if (*end != '\0' && strcasecmp(end, "B") != 0 && !(prefix != NULL && strcasecmp(end, "iB") == 0))
        return false;
    if (!(value >= 1 && value < (double)SIZE_MAX))
        return false;
    *out_bytes = (size_t)value;
    return true;
}
