/*
 * lgalloc for C++17 and later: lgalloc.h with owners, containers and exceptions. Header only; the program is linked
 * with the C library as before.
 *
 *     lgalloc::config config;                              options are set by the functions of lgalloc.h
 *     lgalloc_config_enable(config);
 *     lgalloc_config_with_backing(config, LGALLOC_BACKING_ANONYMOUS);
 *     config.apply();
 *
 *     std::vector<double, lgalloc::allocator<double>> vector(1000000);
 *
 *     lgalloc::memory_resource resource;                   large blocks are regions, small ones are upstream's
 *     std::pmr::vector<double> another(1000000, &resource);
 *
 *     auto numbers = lgalloc::region<int>::mapped(1 << 20);
 *     numbers.push_back(1);
 *
 *     auto memory = lgalloc::handle::try_allocate(1 << 21);
 *     if (memory)
 *         std::memset(memory->data(), 0, memory->size());
 *
 * Conventions, beyond those of lgalloc.h:
 *
 * - What fails throws lgalloc::error, which is a std::bad_alloc with the status and errno. Functions that begin with
 *   try_ return a lgalloc::result instead and throw nothing of their own. Without exceptions (-fno-exceptions) what
 *   would throw ends the program with std::abort().
 * - Owners (region, handle, config) are moved, not copied; one that was moved from holds nothing. As with standard
 *   containers, an object must not be used by two threads at once if one changes it. Memory may be freed by another
 *   thread than the one that allocated it.
 */
#ifndef LGALLOC_HPP
#define LGALLOC_HPP

#include "lgalloc.h"

#if !defined(__cplusplus) || __cplusplus < 201703L
#error "lgalloc.hpp needs C++17"
#endif

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>
#if __has_include(<memory_resource>)
#include <memory_resource>
#endif

namespace lgalloc {

/* From so many bytes on, containers get regions: what is smaller is better off on the heap. */
inline constexpr std::size_t default_threshold = std::size_t{1} << LGALLOC_SIZE_CLASS_MIN_LOG2;
/* No region is larger. */
inline constexpr std::size_t max_region_bytes = std::size_t{1} << LGALLOC_SIZE_CLASS_MAX_LOG2;

/* ---------------------------------------------------------------- failures */

/* Why something failed. system_error is errno where the status is LGALLOC_STATUS_IO, else 0. */
struct failure {
    lgalloc_status status = LGALLOC_STATUS_OK;
    int system_error = 0;
};

/* What is thrown. */
class error : public std::bad_alloc {
public:
    explicit error(failure why) noexcept : why_(why) {}

    lgalloc_status status() const noexcept { return why_.status; }
    int system_error() const noexcept { return why_.system_error; }
    /* The text of the status; static. */
    const char *what() const noexcept override { return lgalloc_status_str(why_.status); }

private:
    failure why_;
};

namespace detail {

inline failure failed(lgalloc_status status) noexcept
{
    return failure{status, status == LGALLOC_STATUS_IO ? errno : 0};
}

/* The status that lgalloc_malloc() has put into errno. */
inline failure failed_malloc() noexcept
{
    switch (errno) {
    case EINVAL:
        return failure{LGALLOC_STATUS_INVALID_SIZE_CLASS, 0};
    case ENOMEM:
        return failure{LGALLOC_STATUS_OUT_OF_MEMORY, 0};
    case EPERM:
        return failure{LGALLOC_STATUS_DISABLED, 0};
    default:
        return failure{LGALLOC_STATUS_IO, errno};
    }
}

[[noreturn]] inline void raise(failure why)
{
#if defined(__cpp_exceptions)
    throw error(why);
#else
    (void)why;
    std::abort();
#endif
}

[[noreturn]] inline void raise_length()
{
#if defined(__cpp_exceptions)
    throw std::bad_array_new_length();
#else
    std::abort();
#endif
}

inline void check(lgalloc_status status)
{
    if (status != LGALLOC_STATUS_OK)
        raise(failed(status));
}

/* Bytes and alignment are such that a region is to be taken. Freeing asks again, and must get the same answer. */
constexpr bool is_for_region(std::size_t bytes, std::size_t align, std::size_t threshold) noexcept
{
    return bytes >= threshold && bytes <= max_region_bytes && align <= bytes;
}

inline void *allocate_region(std::size_t bytes)
{
    void *ptr = lgalloc_malloc(bytes);
    if (ptr == nullptr)
        raise(failed_malloc());
    return ptr;
}

/* The size of the region that so many bytes are given: the next power of two. */
constexpr std::size_t region_bytes(std::size_t bytes) noexcept
{
    std::size_t size = std::size_t{1} << LGALLOC_SIZE_CLASS_MIN_LOG2;
    while (size < bytes)
        size <<= 1;
    return size;
}

} /* namespace detail */

/* A value, or why there is none: as std::expected<T, failure> in C++23. */
template <class T>
class [[nodiscard]] result {
public:
    result(T &&value) noexcept : value_(std::move(value)) {}
    result(failure why) noexcept : why_(why) {}

    bool has_value() const noexcept { return value_.has_value(); }
    explicit operator bool() const noexcept { return has_value(); }

    /* The value; throws lgalloc::error if there is none. */
    T &value() & { return checked(); }
    T &&value() && { return std::move(checked()); }
    /* The value, which must be there. */
    T &operator*() & noexcept { return *value_; }
    T &&operator*() && noexcept { return std::move(*value_); }
    T *operator->() noexcept { return &*value_; }
    /* The value if it is there, else `other`. */
    T value_or(T other) && { return has_value() ? std::move(*value_) : std::move(other); }

    /* Why there is none; LGALLOC_STATUS_OK if there is one. */
    failure error() const noexcept { return why_; }

private:
    T &checked()
    {
        if (!has_value())
            detail::raise(why_);
        return *value_;
    }

    std::optional<T> value_;
    failure why_;
};

/* ---------------------------------------------------------------- configuration */

/* A set of options, for the functions of lgalloc.h: lgalloc_config_enable(config). */
class config {
public:
    config() : config_(lgalloc_config_new())
    {
        if (!config_)
            detail::raise(failure{LGALLOC_STATUS_OUT_OF_MEMORY, 0});
    }

    lgalloc_config *get() const noexcept { return config_.get(); }
    operator lgalloc_config *() const noexcept { return get(); }

    /* Applies the options to the process, all or nothing. */
    void apply() const { detail::check(try_apply()); }
    [[nodiscard]] lgalloc_status try_apply() const noexcept { return lgalloc_set_config(get()); }

private:
    struct deleter {
        void operator()(lgalloc_config *config) const noexcept { lgalloc_config_free(config); }
    };
    std::unique_ptr<lgalloc_config, deleter> config_;
};

/* ---------------------------------------------------------------- raw memory */

/* Owns one allocation of raw bytes, or nothing. */
class handle {
public:
    /* Holds nothing. */
    handle() noexcept = default;
    handle(handle &&other) noexcept : handle_(other.release()) {}
    handle &operator=(handle &&other) noexcept
    {
        handle(std::move(other)).swap(*this);
        return *this;
    }
    ~handle() { lgalloc_deallocate(handle_); }

    /*
     * bytes: 0, or more than 32 KiB and at most 64 GiB; rounded up to a power of two, all of which may be used. The
     * contents are undefined, but for allocate_zeroed().
     */
    static handle allocate(std::size_t bytes) { return try_allocate(bytes).value(); }
    static handle allocate_zeroed(std::size_t bytes) { return try_allocate_zeroed(bytes).value(); }
    static result<handle> try_allocate(std::size_t bytes) noexcept { return make(lgalloc_allocate, bytes); }
    static result<handle> try_allocate_zeroed(std::size_t bytes) noexcept { return make(lgalloc_allocate_zeroed, bytes); }

    /* Takes over what lgalloc_allocate() returned, and gives it away: then lgalloc_deallocate() is the caller's. */
    static handle adopt(lgalloc_handle from) noexcept
    {
        handle owner;
        owner.handle_ = from;
        return owner;
    }
    lgalloc_handle release() noexcept { return std::exchange(handle_, nothing()); }

    /* Frees what it holds. */
    void reset() noexcept { handle().swap(*this); }
    void swap(handle &other) noexcept { std::swap(handle_, other.handle_); }

    /* The first byte, aligned to size(); dangling if it holds nothing. */
    void *data() const noexcept { return handle_.ptr; }
    /* Bytes; 0 if it holds nothing. */
    std::size_t size() const noexcept { return handle_.len; }
    explicit operator bool() const noexcept { return handle_.len != 0; }
    /* Borrowed, for functions of lgalloc.h. */
    lgalloc_handle get() const noexcept { return handle_; }

    /* The hints of lgalloc.h, for a part in bytes. */
    lgalloc_status prefetch(std::size_t offset, std::size_t len) const noexcept
    {
        return lgalloc_prefetch(handle_, offset, len);
    }
    [[nodiscard]] lgalloc_status populate(std::size_t offset, std::size_t len) noexcept
    {
        return lgalloc_populate(handle_, offset, len);
    }
    lgalloc_status cold(std::size_t offset, std::size_t len) const noexcept { return lgalloc_cold(handle_, offset, len); }
    [[nodiscard]] lgalloc_status discard(std::size_t offset, std::size_t len) noexcept
    {
        return lgalloc_discard(handle_, offset, len);
    }

private:
    static lgalloc_handle nothing() noexcept { return lgalloc_handle{reinterpret_cast<void *>(1), 0}; }

    using allocation = lgalloc_status(std::size_t, std::size_t, std::size_t, void **, std::size_t *, lgalloc_handle *);
    static result<handle> make(allocation *allocate, std::size_t bytes) noexcept
    {
        handle owner;
        lgalloc_status status = allocate(bytes, 1, 1, nullptr, nullptr, &owner.handle_);
        if (status != LGALLOC_STATUS_OK)
            return detail::failed(status);
        return owner;
    }

    lgalloc_handle handle_ = nothing();
};

inline void swap(handle &a, handle &b) noexcept
{
    a.swap(b);
}

/* ---------------------------------------------------------------- regions */

/*
 * A vector of fixed capacity. Elements never move: a pointer to one is valid until the element is removed, also when the
 * region itself is moved.
 */
template <class T>
class region {
    static_assert(std::is_object_v<T> && !std::is_const_v<T>, "elements are objects that can be written");

public:
    using value_type = T;
    using size_type = std::size_t;
    using difference_type = std::ptrdiff_t;
    using reference = T &;
    using const_reference = const T &;
    using pointer = T *;
    using const_pointer = const T *;
    using iterator = T *;
    using const_iterator = const T *;
    using reverse_iterator = std::reverse_iterator<iterator>;
    using const_reverse_iterator = std::reverse_iterator<const_iterator>;

    /* Holds no memory. */
    region() noexcept { lgalloc_region_new_empty(sizeof(T), alignof(T), &region_); }
    region(region &&other) noexcept : region() { swap(other); }
    region &operator=(region &&other) noexcept
    {
        region(std::move(other)).swap(*this);
        return *this;
    }
    ~region()
    {
        clear();
        lgalloc_region_drop(&region_);
    }

    /*
     * capacity: elements. Where they come from is said by lgalloc_region_new_mmap(), lgalloc_region_new_heap() and
     *           lgalloc_region_new_auto(): mapped memory, which has room for more where it was rounded up; the heap;
     *           whichever fits the size.
     */
    static region mapped(size_type capacity) { return try_mapped(capacity).value(); }
    static region on_heap(size_type capacity) { return try_on_heap(capacity).value(); }
    static region automatic(size_type capacity) { return try_automatic(capacity).value(); }
    static result<region> try_mapped(size_type capacity) noexcept { return make(lgalloc_region_new_mmap, capacity); }
    static result<region> try_on_heap(size_type capacity) noexcept { return make(lgalloc_region_new_heap, capacity); }
    static result<region> try_automatic(size_type capacity) noexcept { return make(lgalloc_region_new_auto, capacity); }

    void swap(region &other) noexcept
    {
        std::swap(region_, other.region_);
        std::swap(size_, other.size_);
    }

    T *data() noexcept { return static_cast<T *>(region_.ptr); }
    const T *data() const noexcept { return static_cast<const T *>(region_.ptr); }
    size_type size() const noexcept { return size_; }
    size_type capacity() const noexcept { return region_.capacity; }
    bool empty() const noexcept { return size_ == 0; }
    bool is_mapped() const noexcept { return lgalloc_region_is_mapped(&region_); }
    /* Borrowed, for the hints of lgalloc.h; holds nothing where the elements are on the heap. */
    lgalloc_handle borrowed() const noexcept { return lgalloc_region_handle(&region_); }

    iterator begin() noexcept { return data(); }
    iterator end() noexcept { return data() + size_; }
    const_iterator begin() const noexcept { return data(); }
    const_iterator end() const noexcept { return data() + size_; }
    const_iterator cbegin() const noexcept { return begin(); }
    const_iterator cend() const noexcept { return end(); }
    reverse_iterator rbegin() noexcept { return reverse_iterator(end()); }
    reverse_iterator rend() noexcept { return reverse_iterator(begin()); }
    const_reverse_iterator rbegin() const noexcept { return const_reverse_iterator(end()); }
    const_reverse_iterator rend() const noexcept { return const_reverse_iterator(begin()); }

    T &operator[](size_type i) noexcept { return data()[i]; }
    const T &operator[](size_type i) const noexcept { return data()[i]; }
    T &front() noexcept { return *begin(); }
    const T &front() const noexcept { return *begin(); }
    T &back() noexcept { return end()[-1]; }
    const T &back() const noexcept { return end()[-1]; }

    /* Each of these throws an error of LGALLOC_STATUS_CAPACITY_EXCEEDED, and changes nothing, where there is no room. */
    template <class... Arguments>
    T &emplace_back(Arguments &&...arguments)
    {
        make_room(1);
        T *place = ::new (static_cast<void *>(end())) T(std::forward<Arguments>(arguments)...);
        size_++;
        return *place;
    }
    void push_back(const T &value) { emplace_back(value); }
    void push_back(T &&value) { emplace_back(std::move(value)); }
    /* Appends copies of what [first, last) holds, which may be elements of this region; from an iterator that passes
     * only once as many as there is room for. */
    template <class Iterator>
    void append(Iterator first, Iterator last)
    {
        using category = typename std::iterator_traits<Iterator>::iterator_category;
        if constexpr (std::is_base_of_v<std::forward_iterator_tag, category>) {
            size_type count = static_cast<size_type>(std::distance(first, last));
            make_room(count);
            std::uninitialized_copy(first, last, end());
            size_ += count;
        } else {
            for (; first != last; ++first)
                emplace_back(*first);
        }
    }
    void append(std::initializer_list<T> values) { append(values.begin(), values.end()); }

    /* Without a copy: fill what is spare behind the elements, spare_size() of them, then say how many there are. */
    T *spare() noexcept { return end(); }
    size_type spare_size() const noexcept { return capacity() - size_; }
    void set_size(size_type size)
    {
        static_assert(std::is_trivially_copyable_v<T>, "elements with constructors are made by emplace_back()");
        if (size > capacity())
            detail::raise(failure{LGALLOC_STATUS_CAPACITY_EXCEEDED, 0});
        size_ = size;
    }

    void pop_back() noexcept
    {
        size_--;
        std::destroy_at(end());
    }
    /* Destroys the elements; the memory is kept. */
    void clear() noexcept
    {
        std::destroy_n(begin(), size_);
        size_ = 0;
    }

    /* Gives region and elements away: then lgalloc_region_drop() is the caller's. */
    [[nodiscard]] lgalloc_region release() noexcept
    {
        lgalloc_region given = region_;
        given.len = std::exchange(size_, 0);
        lgalloc_region_new_empty(sizeof(T), alignof(T), &region_);
        return given;
    }

private:
    using creation = lgalloc_status(std::size_t, std::size_t, std::size_t, lgalloc_region *);
    static result<region> make(creation *create, size_type capacity) noexcept
    {
        region made;
        lgalloc_status status = create(capacity, sizeof(T), alignof(T), &made.region_);
        if (status != LGALLOC_STATUS_OK)
            return detail::failed(status);
        return made;
    }

    void make_room(size_type count) const
    {
        if (count > spare_size())
            detail::raise(failure{LGALLOC_STATUS_CAPACITY_EXCEEDED, 0});
    }

    lgalloc_region region_;
    /* Elements; region_.len stays 0 until the region is given away. */
    size_type size_ = 0;
};

template <class T>
void swap(region<T> &a, region<T> &b) noexcept
{
    a.swap(b);
}

/* ---------------------------------------------------------------- containers */

/*
 * The allocator for containers: from 64 KiB on regions, below operator new. All of them are equal. It throws
 * lgalloc::error if there is no region, and std::bad_array_new_length where the size overflows.
 */
template <class T>
class allocator {
public:
    using value_type = T;
    using size_type = std::size_t;
    using difference_type = std::ptrdiff_t;
    using propagate_on_container_move_assignment = std::true_type;
    using is_always_equal = std::true_type;

    allocator() noexcept = default;
    template <class U>
    allocator(const allocator<U> &) noexcept
    {
    }

    /* count: elements; 0 is allowed. */
    [[nodiscard]] T *allocate(size_type count)
    {
        if (count > std::numeric_limits<size_type>::max() / sizeof(T))
            detail::raise_length();
        if (detail::is_for_region(count * sizeof(T), alignof(T), default_threshold))
            return static_cast<T *>(detail::allocate_region(count * sizeof(T)));
        return std::allocator<T>().allocate(count);
    }
    /* count: as it was given to allocate(), or anything up to what allocate_at_least() returned. */
    void deallocate(T *ptr, size_type count) noexcept
    {
        if (detail::is_for_region(count * sizeof(T), alignof(T), default_threshold))
            lgalloc_free_sized(ptr, count * sizeof(T));
        else
            std::allocator<T>().deallocate(ptr, count);
    }
#if defined(__cpp_lib_allocate_at_least)
    /* All of the region may be used. */
    [[nodiscard]] std::allocation_result<T *, size_type> allocate_at_least(size_type count)
    {
        T *ptr = allocate(count);
        if (detail::is_for_region(count * sizeof(T), alignof(T), default_threshold))
            count = detail::region_bytes(count * sizeof(T)) / sizeof(T);
        return {ptr, count};
    }
#endif
};

template <class T, class U>
constexpr bool operator==(const allocator<T> &, const allocator<U> &) noexcept
{
    return true;
}
template <class T, class U>
constexpr bool operator!=(const allocator<T> &, const allocator<U> &) noexcept
{
    return false;
}

#if defined(__cpp_lib_memory_resource)
/*
 * The resource for containers of std::pmr: from a threshold on regions, below it, above 64 GiB and for alignments above
 * the size another resource's memory. Any thread may use it if any may use that one. It throws lgalloc::error where a
 * region is not to be had.
 */
class memory_resource : public std::pmr::memory_resource {
public:
    /*
     * upstream:  for what is no region; must live longer. Default: std::pmr::get_default_resource().
     * threshold: bytes; at least 32 KiB + 1, below which there are no regions.
     */
    memory_resource() noexcept : memory_resource(std::pmr::get_default_resource()) {}
    explicit memory_resource(std::pmr::memory_resource *upstream, std::size_t threshold = default_threshold) noexcept
        : upstream_(upstream), threshold_(threshold > least ? threshold : least)
    {
    }
    memory_resource(const memory_resource &) = delete;
    memory_resource &operator=(const memory_resource &) = delete;

    std::pmr::memory_resource *upstream() const noexcept { return upstream_; }
    std::size_t threshold() const noexcept { return threshold_; }

private:
    static constexpr std::size_t least = default_threshold / 2 + 1;

    void *do_allocate(std::size_t bytes, std::size_t align) override
    {
        if (detail::is_for_region(bytes, align, threshold_))
            return detail::allocate_region(bytes);
        return upstream_->allocate(bytes, align);
    }
    void do_deallocate(void *ptr, std::size_t bytes, std::size_t align) override
    {
        if (detail::is_for_region(bytes, align, threshold_))
            lgalloc_free_sized(ptr, bytes);
        else
            upstream_->deallocate(ptr, bytes, align);
    }
    bool do_is_equal(const std::pmr::memory_resource &other) const noexcept override
    {
#if defined(__cpp_rtti)
        const auto *same = dynamic_cast<const memory_resource *>(&other);
        return same != nullptr && same->threshold_ == threshold_ && same->upstream_->is_equal(*upstream_);
#else
        return this == &other;
#endif
    }

    std::pmr::memory_resource *upstream_;
    std::size_t threshold_;
};
#endif

} /* namespace lgalloc */

#endif /* LGALLOC_HPP */
