/* What the statistics' printers print: the list of the structs' fields, and a snapshot of all there is. */
#ifndef LG_SNAPSHOT_H
#define LG_SNAPSHOT_H

#include "../base/format.h"
#include "../regions/size_class.h"

/* A field of one of the structs of statistics. */
typedef struct lg_field {
    const char *name; /* a counter's ends in _total */
    const char *help;
    size_t offset; /* all fields are 64 bits wide */
} lg_field;

/* All but the reserved ones, and but the class's size, which is its name. */
#define LG_FIELDS(type) ((sizeof(type) - sizeof(((type *)NULL)->reserved)) / sizeof(uint64_t))
#define LG_GLOBAL_FIELDS LG_FIELDS(lgalloc_global_stats)
#define LG_CLASS_FIELDS (LG_FIELDS(lgalloc_size_class_stats) - 1)

extern LG_HIDDEN const lg_field lg_global_fields[];
extern LG_HIDDEN const lg_field lg_class_fields[];

LG_HIDDEN uint64_t lg_field_value(const lg_field *field, const void *stats);

/* What the system says of the regions, by class and all together. */
typedef struct lg_figure {
    bool known;
    uint64_t of_class[LG_CLASS_COUNT];
    uint64_t total;
} lg_figure;

#define LG_RESIDENT_NAME "resident_bytes"
#define LG_RESIDENT_HELP "Bytes that regions hold in memory, as the system says: in use and free."
#define LG_DISK_NAME "disk_bytes"
#define LG_DISK_HELP "Bytes of the disk blocks (of memory, on tmpfs) behind regions, as the file system says."

typedef struct lg_snapshot {
    lgalloc_global_stats global;
    lgalloc_size_class_stats classes[LG_CLASS_COUNT];
    lg_figure resident;
    lg_figure disk;
} lg_snapshot;

LG_HIDDEN void lg_take_snapshot(lg_snapshot *out);

/* The printers. */
LG_HIDDEN void lg_put_version(lg_text *out);
LG_HIDDEN void lg_print_text(lg_text *out, const lg_snapshot *s);
LG_HIDDEN void lg_print_json(lg_text *out, const lg_snapshot *s);
LG_HIDDEN void lg_print_prometheus(lg_text *out, const lg_snapshot *s);

#endif
