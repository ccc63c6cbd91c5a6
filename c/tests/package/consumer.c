/* A user's program, as C and as C++: it is compiled against what was installed. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <lgalloc.h>

int main(void)
{
    lgalloc_config *config = lgalloc_config_new();
    lgalloc_config_enable(config);
    lgalloc_config_with_backing(config, LGALLOC_BACKING_ANONYMOUS);
    lgalloc_status status = lgalloc_set_config(config);
    lgalloc_config_free(config);

    lgalloc_region region;
    lgalloc_region_new_empty(sizeof(uint64_t), sizeof(uint64_t), &region);
    if (status == LGALLOC_STATUS_OK) {
        status = lgalloc_region_new_mmap(1 << 18, sizeof(uint64_t), sizeof(uint64_t), &region);
    }
    const uint64_t four[4] = {1, 2, 3, 4};
    if (status == LGALLOC_STATUS_OK) {
        status = lgalloc_region_extend_from_slice(&region, four, 4);
    }
    if (status != LGALLOC_STATUS_OK) {
        fprintf(stderr, "%s\n", lgalloc_status_str(status));
        return 1;
    }
    int wrong = lgalloc_region_len(&region) != 4 || memcmp(lgalloc_region_as_ptr(&region), four, sizeof(four)) != 0 ||
                lgalloc_version() != LGALLOC_VERSION;
    lgalloc_region_drop(&region);
    return wrong;
}
