#include "file.h"

int lg_file_open(const char *directory, lg_file *out)
{
    lg_file file;
    int fd;
    int error = lg_os_open_unlinked(directory, &fd);
    if (error != 0)
        return error;
    file.fd = fd;
    error = lg_os_identify(fd, &file.identity);
    if (error != 0) {
        lg_os_close(fd); /* opened a moment ago, and of no use without a name for it */
        return error;
    }
    file.no_blocks = lg_os_write_in_place(fd);
    file.tells_holes = lg_os_tells_holes(fd);
    *out = file;
    return 0;
}

int lg_file_check(const lg_file *file)
{
    lg_identity now;
    if (file->fd < 0)
        return EBADF;
    int error = lg_os_identify(file->fd, &now);
    if (error != 0)
        return error;
    return lg_os_is_same(&now, &file->identity) ? 0 : EBADF;
}

void lg_file_close(lg_file *file)
{
    if (lg_file_check(file) == 0)
        lg_os_close(file->fd);
    *file = LG_NO_FILE;
}

int lg_file_truncate(const lg_file *file, uint64_t size)
{
    int error = lg_file_check(file);
    return error != 0 ? error : lg_os_truncate(file->fd, size);
}

int lg_file_allocate_blocks(const lg_file *file, uint64_t offset, uint64_t len)
{
    if (file->no_blocks != 0)
        return file->no_blocks;
    int error = lg_file_check(file);
    return error != 0 ? error : lg_os_allocate_blocks(file->fd, offset, len);
}

int lg_file_punch(const lg_file *file, uint64_t offset, uint64_t len)
{
    int error = lg_file_check(file);
    return error != 0 ? error : lg_os_punch(file->fd, offset, len);
}

int lg_file_usage(const lg_file *file, uint64_t *out_size, uint64_t *out_allocated)
{
    int error = lg_file_check(file);
    return error != 0 ? error : lg_os_file_usage(file->fd, out_size, out_allocated);
}

int lg_file_next_data(const lg_file *file, uint64_t offset, uint64_t len, uint64_t *out_start, uint64_t *out_len)
{
    int error = lg_file_check(file);
    *out_len = 0;
    return error != 0 ? error : lg_os_next_data(file->fd, offset, len, out_start, out_len);
}

int lg_file_data(const lg_file *file, uint64_t offset, uint64_t len, uint64_t *out_bytes)
{
    uint64_t end = offset + len, start, found = 1;
    *out_bytes = 0;
    int error = 0;
    while (offset < end && error == 0 && found != 0) {
        error = lg_file_next_data(file, offset, end - offset, &start, &found);
        if (error == 0 && found != 0) {
            *out_bytes += found;
            offset = start + found;
        }
    }
    return error;
}

int lg_file_read(const lg_file *file, void *to, uint64_t len, uint64_t offset)
{
    int error = lg_file_check(file);
    if (error == 0)
        error = lg_os_read_at(file->fd, to, len, offset);
    return lg_file_check(file) == EBADF ? EBADF : error;
}

int lg_file_write(const lg_file *file, const void *from, uint64_t len, uint64_t offset)
{
    int error = lg_file_check(file);
    return error != 0 ? error : lg_os_write_at(file->fd, from, len, offset);
}

int lg_file_leave_cache(const lg_file *file, uint64_t offset, uint64_t len, bool written)
{
    int error = lg_file_check(file);
    return error != 0 ? error : lg_os_leave_cache(file->fd, offset, len, written);
}

int lg_file_go_cached(const lg_file *file)
{
    int error = lg_file_check(file);
    return error != 0 ? error : lg_os_go_cached(file->fd);
}

int lg_file_map(const lg_file *file, void *addr, size_t len, uint64_t offset)
{
    int error = lg_file_check(file);
    if (error == 0)
        error = lg_os_map_file(addr, len, file->fd, offset);
    if (error != 0)
        return error;
    if (lg_file_check(file) != EBADF)
        return 0;
    (void)lg_os_unmap(addr, len); /* perhaps of somebody else's file; nobody has touched it */
    return EBADF;
}
