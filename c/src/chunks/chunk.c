#include "chunk.h"

#include "../base/atomic.h"
#include "../base/die.h"
#include "../base/metadata.h"
#include "../base/os.h"
#include "../regions/arena.h"
#include "../regions/class.h"

_Static_assert(sizeof(lg_note) <= LG_NOTE_BYTES, "a record fits its slot in the layout");

lg_a32 lg_chunks[LG_CHUNKS_MAX];
lg_a64 lg_chunks_count;
lg_lock lg_arena_lock = LG_LOCK_INIT(LG_RANK_ARENA);

static lg_a64 high;
static size_t committed_notes; /* bytes of the notes that are usable */
static uint32_t last_mapping;

void lg_chunks_init(void)
{
    LG_ASSERT(lg_layout_.chunks <= LG_CHUNKS_MAX);
    lg_store_relaxed_64(&lg_chunks_count, lg_layout_.chunks);
}

void lg_chunks_abandon(void)
{
    for (uint64_t chunk = 0; chunk < lg_chunks_high(); chunk++)
        lg_store_relaxed_32(&lg_chunks[chunk], 0);
    lg_store_relaxed_64(&lg_chunks_count, 0);
    lg_store_relaxed_64(&high, 0);
    LG_EACH_CLASS(cls) {
        lg_store_relaxed_64(&cls->areas, 0);
        lg_store_relaxed_64(&cls->area_bytes, 0);
        lg_store_relaxed_64(&cls->areas_released, 0);
        cls->last_mapped = 0;
    }
    committed_notes = 0;
}

lg_note *lg_chunk_note(uint64_t chunk)
{
    return (lg_note *)((char *)lg_layout_.notes + chunk * LG_NOTE_BYTES);
}

uint64_t lg_chunks_high(void)
{
    return lg_load_relaxed_64(&high);
}

int lg_chunks_reach(uint64_t end)
{
    size_t wanted = end * LG_NOTE_BYTES;
    if (wanted > committed_notes) {
        size_t page = lg_os_page_size();
        size_t len = (wanted - committed_notes + page - 1) & ~(page - 1);
        int error = lg_metadata_commit((char *)lg_layout_.notes + committed_notes, len);
        if (error != 0)
            return error;
        committed_notes += len;
    }
    if (end > lg_chunks_high())
        lg_store_relaxed_64(&high, end);
    return 0;
}

/* ---- what they are */

/* Whether they belong to the same area, if they are neighbours. */
static bool same_area(uint64_t a, uint64_t b)
{
    uint32_t of_a = lg_chunk_word(a), of_b = lg_chunk_word(b);
    return lg_chunk_bin_offset(of_a) == lg_chunk_bin_offset(of_b) && lg_chunk_kind(of_a) == lg_chunk_kind(of_b) &&
           lg_chunk_note(a)->mapping == lg_chunk_note(b)->mapping;
}

static bool counts(uint64_t chunk)
{
    uint32_t word = lg_chunk_word(chunk);
    return lg_chunk_bin_offset(word) != 0 && lg_chunk_kind(word) != LG_AREA_LOST;
}

static bool is_head(uint64_t chunk)
{
    return counts(chunk) && (chunk == 0 || !same_area(chunk - 1, chunk));
}

/* Who has lost his last chunk starts small again. */
static void forget_growth(void)
{
    LG_EACH_CLASS(cls)
        if (lg_area_bytes(cls) == 0)
            cls->last_mapped = 0;
}

/* Adds the chunks and the one behind them, whose neighbour they are, to the figures, or takes them off. */
static void count(uint64_t first, uint64_t n, uint64_t sign)
{
    for (uint64_t chunk = first; chunk < first + n; chunk++)
        if (counts(chunk))
            lg_counter_add(&lg_chunk_class(lg_chunk_word(chunk))->area_bytes, sign * LG_CHUNK);
    for (uint64_t chunk = first; chunk <= first + n && chunk < lg_chunks_high(); chunk++)
        if (is_head(chunk))
            lg_counter_add(&lg_chunk_class(lg_chunk_word(chunk))->areas, sign);
}

void lg_chunks_set_backing(uint64_t first, uint64_t n, enum lg_area_kind kind, uint32_t file)
{
    count(first, n, (uint64_t)-1);
    for (uint64_t chunk = first; chunk < first + n; chunk++)
        lg_store_relaxed_32(&lg_chunks[chunk], (uint32_t)kind << LG_CHUNK_KIND_SHIFT | file << LG_CHUNK_FILE_SHIFT);
    count(first, n, 1);
    forget_growth();
}

void lg_chunks_set_class(uint64_t first, uint64_t n, lg_class *cls)
{
    uint32_t bits = cls != NULL ? lg_chunk_class_bits(cls) : 0;
    count(first, n, (uint64_t)-1);
    for (uint64_t chunk = first; chunk < first + n; chunk++) {
        uint32_t word = lg_chunk_word(chunk);
        lg_store_relaxed_32(&lg_chunks[chunk], (word & ~lg_chunk_bin_offset(word)) | bits);
        lg_chunk_note(chunk)->idle_ticks = 0;
        lg_chunk_note(chunk)->clear_wait = lg_chunk_note(chunk)->clear_backoff = 0;
    }
    count(first, n, 1);
    forget_growth();
}

void lg_chunks_set_mapping(uint64_t first, uint64_t n, uint32_t mapping)
{
    count(first, n, (uint64_t)-1);
    for (uint64_t chunk = first; chunk < first + n; chunk++)
        lg_chunk_note(chunk)->mapping = mapping;
    count(first, n, 1);
}

uint32_t lg_chunks_new_mapping(void)
{
    return ++last_mapping;
}

void lg_chunks_lose(uint64_t first, uint64_t n)
{
    count(first, n, (uint64_t)-1);
    for (uint64_t chunk = first; chunk < first + n; chunk++)
        lg_store_relaxed_32(&lg_chunks[chunk],
                            lg_chunk_bin_offset(lg_chunk_word(chunk)) | (uint32_t)LG_AREA_LOST << LG_CHUNK_KIND_SHIFT);
    count(first, n, 1);
}

/* ---- areas */

bool lg_area_next(const lg_class *cls, uint64_t offset, lg_area *out)
{
    if (lg_area_count(cls) == 0)
        return false;
    lg_lock_acquire(&lg_arena_lock);
    uint64_t end = lg_chunks_high();
    uint64_t chunk = offset >> LG_CHUNK_LOG2;
    while (chunk < end && !(counts(chunk) && lg_chunk_class(lg_chunk_word(chunk)) == cls))
        chunk++;
    bool found = chunk < end;
    if (found) {
        uint64_t head = chunk;
        while (!is_head(head))
            head--;
        while (++chunk < end && same_area(chunk - 1, chunk)) {
        }
        const lg_note *note = lg_chunk_note(head);
        *out = (lg_area){.start = head << LG_CHUNK_LOG2,
                         .len = (chunk - head) << LG_CHUNK_LOG2,
                         .kind = lg_chunk_kind(lg_chunk_word(head)),
                         .clear_wait = note->clear_wait,
                         .clear_backoff = note->clear_backoff};
    }
    lg_lock_release(&lg_arena_lock);
    return found;
}

void lg_area_note(const lg_class *cls, const lg_area *area)
{
    uint64_t chunk = area->start >> LG_CHUNK_LOG2;
    lg_lock_acquire(&lg_arena_lock);
    if (counts(chunk) && lg_chunk_class(lg_chunk_word(chunk)) == cls) {
        lg_chunk_note(chunk)->clear_wait = area->clear_wait;
        lg_chunk_note(chunk)->clear_backoff = area->clear_backoff;
    }
    lg_lock_release(&lg_arena_lock);
}
