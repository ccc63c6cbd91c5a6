/* The statistics in Prometheus' text format, version 0.0.4. */
#include "../base/atomic.h"
#include "../base/format.h"
#include "../base/options.h"
#include "../base/parse.h"
#include "../regions/size_class.h"
#include "snapshot.h"

#include <limits.h>

static bool is_counter(const char *name)
{
    static const char end[] = "_total";
    size_t len = strlen(name);
    return len >= sizeof(end) - 1 && strcmp(name + len - (sizeof(end) - 1), end) == 0;
}

/* What comes before a metric's samples. */
static void metric(lg_text *out, const char *prefix, const char *name, const char *help)
{
    lg_put(out, "# HELP lgalloc_");
    lg_put(out, prefix);
    lg_put(out, name);
    lg_put(out, " ");
    lg_put(out, help);
    lg_put(out, "\n# TYPE lgalloc_");
    lg_put(out, prefix);
    lg_put(out, name);
    lg_put(out, is_counter(name) ? " counter\n" : " gauge\n");
}

static void sample(lg_text *out, const char *name, uint64_t value)
{
    lg_put(out, "lgalloc_");
    lg_put(out, name);
    lg_put(out, " ");
    lg_put_number(out, value);
    lg_put(out, "\n");
}

static void class_sample(lg_text *out, const char *name, unsigned index, uint64_t value)
{
    lg_put(out, "lgalloc_size_class_");
    lg_put(out, name);
    lg_put(out, "{size_class=\"");
    lg_put_number(out, LG_SMALLEST_REGION << index);
    lg_put(out, "\"} ");
    lg_put_number(out, value);
    lg_put(out, "\n");
}

static void prometheus_figure(lg_text *out, const char *name, const char *help, const lg_figure *figure)
{
    if (!figure->known)
        return;
    metric(out, "", name, help);
    sample(out, name, figure->total);
    metric(out, "size_class_", name, help);
    for (unsigned c = 0; c < LG_CLASS_COUNT; c++)
        class_sample(out, name, c, figure->of_class[c]);
}

/* Words are labels of one sample that is always 1. */
static void prometheus_info(lg_text *out)
{
    char name[PATH_MAX];
    metric(out, "", "info", "The library's version, and options that are words.");
    lg_put(out, "lgalloc_info{version=\"");
    lg_put_version(out);
    lg_put(out, "\"");
    for (unsigned id = 0; id < LG_OPTION_COUNT; id++) {
        if (lg_option_infos[id].kind != LG_KIND_BACKING)
            continue;
        lg_put(out, ",");
        lg_put(out, lg_option_infos[id].name);
        lg_put(out, "=\"");
        lg_put_value(out, LG_KIND_BACKING, lg_load_relaxed_64(&lg_options[id]));
        lg_put(out, "\"");
    }
    for (unsigned id = 0; id < LG_NAME_COUNT; id++) {
        if (lg_option_text((enum lg_name_id)id, name) == 0)
            continue;
        lg_put(out, ",");
        lg_put(out, lg_name_infos[id].name);
        lg_put(out, "=");
        lg_put_quoted(out, name);
    }
    lg_put(out, "} 1\n");
}

/* Prometheus wants seconds: a time's name ends in _ns, and is printed with _seconds. */
static void prometheus_option_name(lg_text *out, const lg_option_info *info)
{
    lg_put(out, "lgalloc_config_");
    if (info->kind == LG_KIND_TIME) {
        lg_put_n(out, info->name, strlen(info->name) - strlen("_ns"));
        lg_put(out, "_seconds");
    } else {
        lg_put(out, info->name);
    }
}

static void prometheus_option(lg_text *out, const lg_option_info *info, uint64_t value)
{
    lg_put(out, "# HELP ");
    prometheus_option_name(out, info);
    lg_put(out, " The option of the variable ");
    lg_put(out, info->variable);
    lg_put(out, ".\n# TYPE ");
    prometheus_option_name(out, info);
    lg_put(out, " gauge\n");
    prometheus_option_name(out, info);
    lg_put(out, " ");
    if (info->kind == LG_KIND_TIME) {
        lg_put_number(out, value / 1000000000u);
        lg_put(out, ".");
        for (uint64_t digit = 100000000; digit != 0; digit /= 10)
            lg_put_number(out, value / digit % 10);
    } else if (info->kind == LG_KIND_BYTES && value == UINT64_MAX) {
        lg_put(out, "+Inf");
    } else {
        lg_put_number(out, value);
    }
    lg_put(out, "\n");
}

void lg_print_prometheus(lg_text *out, const lg_snapshot *s)
{
    prometheus_info(out);
    for (size_t i = 0; i < LG_GLOBAL_FIELDS; i++) {
        metric(out, "", lg_global_fields[i].name, lg_global_fields[i].help);
        sample(out, lg_global_fields[i].name, lg_field_value(&lg_global_fields[i], &s->global));
    }
    prometheus_figure(out, LG_RESIDENT_NAME, LG_RESIDENT_HELP, &s->resident);
    prometheus_figure(out, LG_DISK_NAME, LG_DISK_HELP, &s->disk);
    for (size_t i = 0; i < LG_CLASS_FIELDS; i++) {
        metric(out, "size_class_", lg_class_fields[i].name, lg_class_fields[i].help);
        for (unsigned c = 0; c < LG_CLASS_COUNT; c++)
            class_sample(out, lg_class_fields[i].name, c, lg_field_value(&lg_class_fields[i], &s->classes[c]));
    }
    for (unsigned id = 0; id < LG_OPTION_COUNT; id++)
        if (lg_option_infos[id].kind != LG_KIND_BACKING)
            prometheus_option(out, &lg_option_infos[id], lg_load_relaxed_64(&lg_options[id]));
}
