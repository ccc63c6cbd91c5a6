#include "options.h"

#include "os.h"

#include <stdlib.h>

const lg_option_info lg_option_infos[LG_OPTION_COUNT] = {
#define X(name, kind, value, variable) {#name, "LGALLOC_" variable, LG_KIND_##kind},
    LG_OPTIONS(X)
#undef X
};

const lg_name_info lg_name_infos[LG_NAME_COUNT] = {
#define X(name, variable, allowed) {#name, "LGALLOC_" variable, allowed},
    LG_NAMES(X)
#undef X
};

lg_a64 lg_options[LG_OPTION_COUNT] = {
#define X(name, kind, value, variable) [LG_OPTION_##name] = {value},
    LG_OPTIONS(X)
#undef X
};

lg_lock lg_config_lock = LG_LOCK_INIT(LG_RANK_CONFIG);
lg_lock lg_path_lock = LG_LOCK_INIT(LG_RANK_PATH);
/* The names in force. Protected by lg_path_lock. */
static struct {
    char *text;
    uint32_t number;
    lg_a32 is_there; /* whether there is a text; written under the lock, for readers that only ask that */
} names[LG_NAME_COUNT];

uint32_t lg_option_text(enum lg_name_id id, char *buffer)
{
    lg_lock_acquire(&lg_path_lock);
    uint32_t number = names[id].text != NULL ? names[id].number : 0;
    if (number != 0)
        memcpy(buffer, names[id].text, strlen(names[id].text) + 1); /* shorter than PATH_MAX, or it was not taken */
    lg_lock_release(&lg_path_lock);
    return number;
}

bool lg_option_has_text(enum lg_name_id id)
{
    return lg_load_relaxed_32(&names[id].is_there) != 0;
}

char *lg_option_set_text(enum lg_name_id id, char *text)
{
    lg_lock_acquire(&lg_path_lock);
    char *old = text;
    if (text[0] == 0) { /* none from now on */
        free(text);
        old = names[id].text;
        names[id].text = NULL;
    } else if (names[id].text == NULL || strcmp(names[id].text, text) != 0) {
        old = names[id].text;
        names[id].text = text;
        names[id].number++;
        if (names[id].number == 0)
            names[id].number = 1;
    }
    lg_store_relaxed_32(&names[id].is_there, names[id].text != NULL);
    lg_lock_release(&lg_path_lock);
    return old;
}
