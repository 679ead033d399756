#include "daemon/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "io/clock.h"

#define LOG_BURST    200                 /* lines at once                          */
#define LOG_PER_LINE (100 * MILLISECOND) /* and then one each 100 ms */

static const char *const level_name[] = {
    [LOG_EMERG] = "emergency", [LOG_ALERT] = "alert",     [LOG_CRIT] = "critical",
    [LOG_ERR] = "error",       [LOG_WARNING] = "warning", [LOG_NOTICE] = "notice",
    [LOG_INFO] = "info",       [LOG_DEBUG] = "debug"};

#define LOG_AREAS(X) X(daemon) X(helper) X(host) X(path) X(overlay) X(dns) X(io)

enum log_area {
#define AREA_ENUM(name) AREA_##name,
    LOG_AREAS(AREA_ENUM)
#undef AREA_ENUM
        AREA_COUNT
};
static const char *const area_name[] = {
#define AREA_NAME(name) #name,
    LOG_AREAS(AREA_NAME)
#undef AREA_NAME
};

static struct {
    atomic_int level;
    atomic_int area[AREA_COUNT]; /* 0: the level above */
    const char *name;
    bool journal;
    instant full; /* when the allowance was last, or will be, used up: a leaky bucket in time */
    unsigned left_out;    /* lines since the last one that was written    */
    pthread_mutex_t lock; /* all of the above: journal writes happen in a thread of their own */
} log_state = {.level = LOG_NOTICE, .lock = PTHREAD_MUTEX_INITIALIZER};

/* systemd tells which stream it reads, so that output which was redirected elsewhere is not marked.
 */
static bool stderr_is_journal(void)
{
    const char *text = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat st;
    return text && sscanf(text, "%llu:%llu", &device, &inode) == 2 && !fstat(STDERR_FILENO, &st) &&
           st.st_dev == device && st.st_ino == inode;
}

void daemon_log_begin(int level, const char *name)
{
    log_state.level = level;
    log_state.name = name;
    log_state.journal = stderr_is_journal();
}

int daemon_log_level(const char *name)
{
    for (int i = LOG_ERR; i <= LOG_DEBUG; i++)
        if (!strcmp(name, level_name[i]))
            return i;
    return -1;
}

static void put(int level, const char *text)
{
    char stamp[64] = "";
    if (log_state.journal) {
        snprintf(stamp, sizeof stamp, "<%d>", level);
    } else if (log_state.name) {
        snprintf(stamp, sizeof stamp, "%s: ", log_state.name);
    } else {
        struct timespec now;
        struct tm tm;
        clock_gettime(CLOCK_REALTIME, &now);
        localtime_r(&now.tv_sec, &tm);
        size_t length = strftime(stamp, sizeof stamp, "%F %T", &tm);
        snprintf(stamp + length, sizeof stamp - length,
                 ".%03ld ocalad: %s: ", now.tv_nsec / 1000000, level_name[level]);
    }
    fprintf(stderr, "%s%s\n", stamp, text);
}

static bool allowed(void)
{
    instant now = clock_now();
    if (log_state.full < now - LOG_BURST * LOG_PER_LINE)
        log_state.full = now - LOG_BURST * LOG_PER_LINE;
    if (log_state.full + LOG_PER_LINE > now) {
        log_state.left_out++;
        return false;
    }
    log_state.full += LOG_PER_LINE;
    return true;
}

static int area_find(const char *name, size_t size)
{
    for (int i = 0; i < AREA_COUNT; i++)
        if (strlen(area_name[i]) == size && !memcmp(area_name[i], name, size))
            return i;
    return -1;
}

static int area_level(int area)
{
    int own = area < 0 ? 0 : atomic_load_explicit(&log_state.area[area], memory_order_relaxed);
    return own ? own : atomic_load_explicit(&log_state.level, memory_order_relaxed);
}

static const char *area_set(int area, const char *level)
{
    int number = daemon_log_level(level);
    if (number < 0 && *level)
        return "levels are error, warning, notice, info and debug";
    atomic_store(&log_state.area[area], *level ? number : 0);
    return NULL;
}

const char *daemon_log_set(const char *setting)
{
    const char *equals = strchr(setting, '=');
    int level = daemon_log_level(setting);
    if (equals) {
        int area = area_find(setting, (size_t)(equals - setting));
        return area < 0 ? "there is no such area" : area_set(area, equals + 1);
    }
    if (level < 0)
        return "levels are error, warning, notice, info and debug";
    atomic_store(&log_state.level, level);
    return NULL;
}

void daemon_log_describe(struct text *json)
{
    text_add(json, "\"log\": {\"level\": \"%s\", \"areas\": {", level_name[area_level(-1)]);
    for (int i = 0; i < AREA_COUNT; i++)
        text_add(json, "%s\"%s\": \"%s\"", i ? ", " : "", area_name[i], level_name[area_level(i)]);
    text_add(json, "}}");
}

__attribute__((format(printf, 3, 0))) static void line(int area, int level, const char *format,
                                                       va_list args)
{
    if (level > area_level(area))
        return;
    char text[1024];
    vsnprintf(text, sizeof text, format, args);
    pthread_mutex_lock(&log_state.lock);
    if (allowed()) {
        if (log_state.left_out) {
            char more[80];
            snprintf(more, sizeof more, "%u lines left out here: too many at once",
                     log_state.left_out);
            log_state.left_out = 0;
            put(LOG_WARNING, more);
        }
        put(level, text);
    }
    pthread_mutex_unlock(&log_state.lock);
}

void daemon_log(int level, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    line(AREA_daemon, level, format, args);
    va_end(args);
}

void daemon_log_as(const char *area, int level, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    line(area ? area_find(area, strlen(area)) : -1, level, format, args);
    va_end(args);
}
