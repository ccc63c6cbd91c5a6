/* The statistics as one JSON object. */
#include "../base/atomic.h"
#include "../base/format.h"
#include "../base/options.h"
#include "../base/parse.h"
#include "../regions/size_class.h"
#include "snapshot.h"

#include <limits.h>
#include <unistd.h>

/* `first`: no comma before it. */
static void json_key(lg_text *out, const char *name, bool first)
{
    lg_put(out, first ? "" : ", ");
    lg_put_quoted(out, name);
    lg_put(out, ": ");
}

static void json_number(lg_text *out, const char *name, uint64_t value, bool first)
{
    json_key(out, name, first);
    lg_put_number(out, value);
}

static void json_figure(lg_text *out, const char *name, const lg_figure *figure, uint64_t value)
{
    json_key(out, name, false);
    if (figure->known)
        lg_put_number(out, value);
    else
        lg_put(out, "null");
}

static void json_options(lg_text *out)
{
    char name[PATH_MAX];
    for (unsigned id = 0; id < LG_OPTION_COUNT; id++) {
        const lg_option_info *info = &lg_option_infos[id];
        uint64_t value = lg_load_relaxed_64(&lg_options[id]);
        json_key(out, info->name, id == 0);
        if (info->kind == LG_KIND_BACKING)
            lg_put(out, value == LGALLOC_BACKING_FILE ? "\"file\"" : "\"anonymous\"");
        else if (info->kind == LG_KIND_SWITCH)
            lg_put_value(out, info->kind, value);
        else
            lg_put_number(out, value);
    }
    for (unsigned id = 0; id < LG_NAME_COUNT; id++) {
        json_key(out, lg_name_infos[id].name, false);
        if (lg_option_text((enum lg_name_id)id, name) != 0)
            lg_put_quoted(out, name);
        else
            lg_put(out, "null");
    }
}

void lg_print_json(lg_text *out, const lg_snapshot *s)
{
    lg_put(out, "{\"version\": \"");
    lg_put_version(out);
    lg_put(out, "\",\n");
    lg_put(out, "\"process\": ");
    lg_put_number(out, (uint64_t)getpid());
    lg_put(out, ",\n\"global\": {");
    for (size_t i = 0; i < LG_GLOBAL_FIELDS; i++)
        json_number(out, lg_global_fields[i].name, lg_field_value(&lg_global_fields[i], &s->global), i == 0);
    json_figure(out, LG_RESIDENT_NAME, &s->resident, s->resident.total);
    json_figure(out, LG_DISK_NAME, &s->disk, s->disk.total);
    lg_put(out, "},\n\"size_classes\": [");
    for (unsigned c = 0; c < LG_CLASS_COUNT; c++) {
        lg_put(out, c == 0 ? "\n{" : ",\n{");
        json_number(out, "size_class_bytes", s->classes[c].size_class, true);
        for (size_t i = 0; i < LG_CLASS_FIELDS; i++)
            json_number(out, lg_class_fields[i].name, lg_field_value(&lg_class_fields[i], &s->classes[c]), false);
        json_figure(out, LG_RESIDENT_NAME, &s->resident, s->resident.of_class[c]);
        json_figure(out, LG_DISK_NAME, &s->disk, s->disk.of_class[c]);
        lg_put(out, "}");
    }
    lg_put(out, "],\n\"options\": {");
    json_options(out);
    lg_put(out, "}}\n");
}
