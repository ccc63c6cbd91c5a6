/* Options from variables: one by one, or all that the environment has. */
#include "../base/options.h"
#include "../base/parse.h"
#include "config.h"

#include <stdlib.h>
#include <sys/auxv.h>
#include <unistd.h>

/* Whether the text is the pattern, whose last character may be a *. */
static bool matches(const char *text, const char *pattern)
{
    size_t len = strlen(pattern);
    if (len != 0 && pattern[len - 1] == '*')
        return strncmp(text, pattern, len - 1) == 0;
    return strcmp(text, pattern) == 0;
}

static bool is_of_others(const char *variable)
{
    static const char *const patterns[] = {LG_VARIABLES_OF_OTHERS};
    const char *end = variable + strlen("LGALLOC_");
    for (size_t i = 0; i < sizeof(patterns) / sizeof(*patterns); i++)
        if (matches(end, patterns[i]))
            return true;
    return false;
}

static lgalloc_status refuse_variable(const lgalloc_config *config, const char *variable, const char *value)
{
    return lg_config_refuse_text(config, variable, value,
                                 "LGALLOC_"
#define OPTION_VARIABLE(name, kind, value_, variable_) variable_ ", "
                                 LG_OPTIONS(OPTION_VARIABLE)
#undef OPTION_VARIABLE
#define NAME_VARIABLE(name, variable_, allowed) variable_ ", "
                                     LG_NAMES(NAME_VARIABLE)
#undef NAME_VARIABLE
                                         "and the variables of the preload library, the build and the tests");
}

LG_API lgalloc_status lgalloc_config_variable(lgalloc_config *config, const char *variable, const char *value)
{
    if (config == NULL)
        return LGALLOC_STATUS_INVALID_ARGUMENT;
    if (variable == NULL)
        return refuse_variable(config, "NULL", value);
    for (unsigned id = 0; id < LG_OPTION_COUNT; id++) {
        const lg_option_info *info = &lg_option_infos[id];
        uint64_t number;
        if (strcmp(variable, info->variable) != 0)
            continue;
        if (value == NULL || !lg_parse(info->kind, value, &number) || !lg_value_fits(info->kind, number))
            return lg_config_refuse_text(config, variable, value, lg_allowed(info->kind));
        lg_config_set_option(config, (enum lg_option_id)id, number);
        return LGALLOC_STATUS_OK;
    }
    for (unsigned id = 0; id < LG_NAME_COUNT; id++)
        if (strcmp(variable, lg_name_infos[id].variable) == 0)
            return lg_config_set_name(config, (enum lg_name_id)id, variable, value);
    if (strncmp(variable, "LGALLOC_", strlen("LGALLOC_")) != 0 || !is_of_others(variable))
        return refuse_variable(config, variable, value);
    lg_config_nothing_refused(config);
    return LGALLOC_STATUS_OK;
}

/* An entry of the environment; others' are fine. */
static lgalloc_status read_entry(lgalloc_config *config, const char *entry)
{
    char variable[256];
    size_t len = strcspn(entry, "=");
    if (strncmp(entry, "LGALLOC_", strlen("LGALLOC_")) != 0 || entry[len] == 0)
        return LGALLOC_STATUS_OK;
    len = lg_min(len, sizeof(variable) - 1); /* what is cut off is no name of ours */
    memcpy(variable, entry, len);
    variable[len] = 0;
    return lgalloc_config_variable(config, variable, strchr(entry, '=') + 1);
}

LG_API lgalloc_status lgalloc_config_from_env(lgalloc_config *config)
{
    if (config == NULL)
        return LGALLOC_STATUS_INVALID_ARGUMENT;
    lgalloc_config read = {.error = config->error};
    lgalloc_status status = LGALLOC_STATUS_OK;
    size_t count = 0;
    /* In a program that has more rights than its user, the user must not say which files are written. */
    while (environ != NULL && getauxval(AT_SECURE) == 0 && environ[count] != NULL)
        count++;
    /* From the last on: of two with the same name the first counts, as for getenv(). */
    while (count-- > 0 && status == LGALLOC_STATUS_OK)
        status = read_entry(&read, environ[count]);
    if (status == LGALLOC_STATUS_OK) {
        for (unsigned id = 0; id < LG_OPTION_COUNT; id++)
            if ((read.set >> id & 1) != 0)
                lg_config_set_option(config, (enum lg_option_id)id, read.value[id]);
        lg_config_nothing_refused(config);
    }
    for (unsigned id = 0; id < LG_NAME_COUNT; id++) {
        char *unused = read.name[id];
        if (status == LGALLOC_STATUS_OK && unused != NULL) {
            unused = config->name[id];
            config->name[id] = read.name[id];
        }
        free(unused);
    }
    return status;
}
