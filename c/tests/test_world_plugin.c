/* ctest-labels: novalgrind */
/* A plugin that has the library inside is closed; another lives in a link namespace of its own. */

#define _GNU_SOURCE

#include "support_world.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static bool (*plugin_begin)(const char *directory, uint64_t interval_ns);
static bool (*plugin_use)(void);
static char *(*plugin_take)(size_t bytes);
static uint64_t (*plugin_cleared)(void);

static void find(void *plugin, const char *name, void *out)
{
    void *found = dlsym(plugin, name);
    TEST_REQUIRE(found != NULL);
    memcpy(out, &found, sizeof found);
}

static void find_all(void *plugin)
{
    find(plugin, "plugin_begin", &plugin_begin);
    find(plugin, "plugin_use", &plugin_use);
    find(plugin, "plugin_take", &plugin_take);
    find(plugin, "plugin_cleared", &plugin_cleared);
}

static void *open_plugin(void)
{
    void *plugin = dlopen(TEST_PLUGIN, RTLD_NOW | RTLD_LOCAL);
    if (plugin == NULL) {
        print_error("%s\n", dlerror());
    }
    TEST_REQUIRE(plugin != NULL);
    find_all(plugin);
    return plugin;
}

static void uses(void *arg)
{
    TEST_REQUIRE(plugin_use());
}

/* A thread that used it ends afterwards, and gives back what it cached. */
static void closed_before_a_thread_ends(void)
{
    struct test_actor actor;
    void *plugin = open_plugin();
    TEST_REQUIRE(plugin_begin(test_dir(), 0));
    TEST_REQUIRE(plugin_use());
    test_actor_start(&actor);
    test_actor_call(&actor, uses, NULL);
    TEST_REQUIRE(dlclose(plugin) == 0);
    test_actor_stop(&actor);
    /* Opened again it is the same one. */
    plugin = open_plugin();
    TEST_REQUIRE(plugin_use());
    TEST_REQUIRE(dlclose(plugin) == 0);
}

static bool has_cleared(void *arg)
{
    return plugin_cleared() > *(uint64_t *)arg;
}

static void closed_below_its_worker(void)
{
    void *plugin = open_plugin();
    TEST_REQUIRE(plugin_begin(test_dir(), 1000 * 1000));
    TEST_REQUIRE(plugin_use());
    uint64_t before = plugin_cleared();
    TEST_REQUIRE(dlclose(plugin) == 0);
    TEST_REQUIRE(plugin_use()); /* its code is still there */
    TEST_REQUIRE(test_eventually(has_cleared, &before));
}

static void closed_and_forgotten(void)
{
    for (int i = 0; i < 10; i++) {
        TEST_REQUIRE(dlclose(open_plugin()) == 0);
    }
    TEST_REQUIRE(dlerror() == NULL);
}

/* There a fork of the program runs none of its handlers. */
static void in_a_namespace_of_its_own(void)
{
    if (TEST_ASAN || TEST_TSAN) {
        world_skip("sanitizers know one namespace only");
    }
    void *plugin = dlmopen(LM_ID_NEWLM, TEST_PLUGIN, RTLD_NOW | RTLD_LOCAL);
    if (plugin == NULL) {
        world_skip("no link namespaces");
    }
    find_all(plugin);
    TEST_REQUIRE(plugin_begin(test_dir(), 0) && plugin_use());
    char *kept = plugin_take(2 * MIB);
    TEST_REQUIRE(kept != NULL);
    memset(kept, 'k', 2 * MIB);
    pid_t child = fork();
    if (child == 0) {
        TEST_REQUIRE(plugin_use());
        char *more = plugin_take(2 * MIB);
        TEST_REQUIRE(more != NULL && more != kept);
        memset(more, 'm', 2 * MIB);
        _exit(0);
    }
    int status;
    TEST_REQUIRE(waitpid(child, &status, 0) == child && status == 0);
    TEST_REQUIRE(test_filled(kept, 2 * MIB, 'k'));
    char *later = plugin_take(2 * MIB);
    TEST_REQUIRE(later != NULL);
    TEST_REQUIRE(test_filled(later, MIB, 'p') || test_filled(later, MIB, 0));
    TEST_REQUIRE(plugin_use());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(closed_before_a_thread_ends),
        WORLD_TEST(closed_below_its_worker),
        WORLD_TEST(closed_and_forgotten),
        WORLD_TEST(in_a_namespace_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
