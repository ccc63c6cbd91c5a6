/* A set of options while the program puts it together: see config.c. */
#ifndef LG_CONFIG_H
#define LG_CONFIG_H

#include "../base/options.h"

struct lgalloc_config {
    uint64_t set; /* one bit per option */
    uint64_t value[LG_OPTION_COUNT];
    char *name[LG_NAME_COUNT]; /* NULL: not set; from malloc */
    char *error;               /* what was refused last; lives as long as the set */
};

_Static_assert(LG_OPTION_COUNT <= 64, "a bit for each option");

/* A value that may not be is kept all the same, so that lgalloc_set_config() refuses it too. */
LG_HIDDEN void lg_config_set_option(lgalloc_config *config, enum lg_option_id id, uint64_t value);

/* `what`: how the caller calls the option. */
LG_HIDDEN lgalloc_status lg_config_set_name(lgalloc_config *config, enum lg_name_id id, const char *what,
                                            const char *text);

/* Says that `what`, an option or a variable, can't be `value`, which may be NULL. Returns INVALID_ARGUMENT. */
LG_HIDDEN lgalloc_status lg_config_refuse_text(const lgalloc_config *config, const char *what, const char *value,
                                               const char *allowed);

/* From now on nothing is said to be refused. */
LG_HIDDEN void lg_config_nothing_refused(const lgalloc_config *config);

#endif
