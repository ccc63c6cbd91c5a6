/*
 * Resident memory of two processes over time, as a picture of characters.
 */
#ifndef DEMO_PICTURE_H
#define DEMO_PICTURE_H

#include <stddef.h>
#include <sys/types.h>

struct picture;

struct picture_summary {
    size_t most; /* bytes */
    size_t last;
};

/* Starts to watch both from a thread of its own. Returns 0 or an errno. */
int picture_start(pid_t first, pid_t second, struct picture **out_picture);

/* From now on this one is at work: 0, 1, or -1 for nobody. */
void picture_at_work(struct picture *picture, int who);

/* Looks once more, and ends the watching. */
void picture_stop(struct picture *picture);

struct picture_summary picture_summary(const struct picture *picture, int who);

/* One of the two; both are drawn on the same scale. `caption`: the line above. */
void picture_draw(const struct picture *picture, int who, const char *caption);

/* Who worked when, and how long it took: the line below. `names`: a character for either. */
void picture_draw_time(const struct picture *picture, const char names[2]);

void picture_free(struct picture *picture);

#endif
