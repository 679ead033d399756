#include "control/control.h"

/* Names and arguments of commands; the X-macros of control.h as tables. */

static const char *const error_names[] = {
#define ERROR_NAME(id, name, about) [CONTROL_ERROR_##id] = name,
    CONTROL_ERRORS(ERROR_NAME)
#undef ERROR_NAME
};

static const char *const command_names[] = {
#define COMMAND_NAME(id, name, level, about) [CONTROL_##id] = name,
    CONTROL_COMMANDS(COMMAND_NAME)
#undef COMMAND_NAME
};

#define NAME(about)                                                                                \
    {                                                                                              \
        "name", CONTROL_ARGUMENT_NAME, true, 0, 0, 0, about                                        \
    }
#define HOST(about)                                                                                \
    {                                                                                              \
        "name", CONTROL_ARGUMENT_HOST, true, 0, 0, 0, about                                        \
    }
#define END                                                                                        \
    {                                                                                              \
        .name = NULL                                                                               \
    }

static const struct control_argument no_arguments[] = {END};
static const struct control_argument explain[] = {NAME("the name to explain"), END};
static const struct control_argument ping[] = {
    NAME("whom to ask"),
    {"count", CONTROL_ARGUMENT_COUNT, false, 1, 1000, 4, "how many probes, one each second"},
    END};
static const struct control_argument path_close[] = {NAME("whose paths"), END};
static const struct control_argument log_set[] = {
    {"level", CONTROL_ARGUMENT_TEXT, true, 0, 0, 0, "LEVEL, AREA=LEVEL or AREA="}, END};
static const struct control_argument key_forget[] = {HOST("whose key"), END};

const char *control_error_name(enum control_error code)
{
    return (unsigned)code < CONTROL_ERROR_COUNT ? error_names[code] : "failed";
}

const char *control_command_name(enum control_command command)
{
    return (unsigned)command < CONTROL_COMMAND_COUNT ? command_names[command] : "unknown";
}

const struct control_argument *control_command_arguments(enum control_command command)
{
    switch (command) {
    case CONTROL_EXPLAIN:
        return explain;
    case CONTROL_PING:
        return ping;
    case CONTROL_PATH_CLOSE:
        return path_close;
    case CONTROL_LOG_SET:
        return log_set;
    case CONTROL_KEY_FORGET:
        return key_forget;
    default:
        return no_arguments;
    }
}
