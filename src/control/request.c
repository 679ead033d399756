#include "control/request.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/name.h"
#include "base/text.h"

#define TEXT_MAX 64

/* A request is read from the outside in: brackets (so that nesting cannot grow the parser's stack),
 * JSON, fields, command, permission, arguments.  The first thing that is wrong is the answer.  The
 * arguments are built anew from what was checked, so that nothing unchecked gets through. */

static bool refuse(struct control_request *r, enum control_error code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static bool refuse(struct control_request *r, enum control_error code, const char *format, ...)
{
    va_list args;
    r->code = code;
    va_start(args, format);
    vsnprintf(r->message, sizeof r->message, format, args);
    va_end(args);
    return false;
}

/* Nesting of brackets outside of strings.  What is not JSON is the parser's to refuse. */
static bool depth_in_limit(const char *line, size_t size)
{
    unsigned depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < size; i++) {
        if (in_string && line[i] == '\\')
            i++;
        else if (line[i] == '"')
            in_string = !in_string;
        else if (!in_string && (line[i] == '{' || line[i] == '[') && ++depth > CONTROL_DEPTH_MAX)
            return false;
        else if (!in_string && (line[i] == '}' || line[i] == ']') && depth)
            depth--;
    }
    return true;
}

static bool read_id(struct control_request *r, json_t *id)
{
    if (!id)
        return true;
    if (!json_is_integer(id) && !(json_is_string(id) && json_string_length(id) <= CONTROL_ID_MAX))
        return refuse(r, CONTROL_ERROR_BAD_REQUEST,
                      "'id' must be an integer or a text of at most %d characters", CONTROL_ID_MAX);
    r->id = json_incref(id);
    return true;
}

static bool check_fields(struct control_request *r, json_t *request)
{
    const char *key;
    json_t *value;
    json_object_foreach(request, key, value)
    {
        if (strcmp(key, "command") && strcmp(key, "args") && strcmp(key, "id"))
            return refuse(r, CONTROL_ERROR_BAD_REQUEST,
                          "a request has no field '%.40s'; fields are command, args, id", key);
    }
    return true;
}

static bool read_command(struct control_request *r, json_t *command)
{
    struct text t;
    if (!json_is_string(command))
        return refuse(r, CONTROL_ERROR_BAD_REQUEST, "the text field 'command' is missing");
    for (unsigned i = 0; i < CONTROL_COMMAND_COUNT; i++) {
        if (!strcmp(json_string_value(command), control_command_name((enum control_command)i))) {
            r->command = (enum control_command)i;
            return true;
        }
    }
    text_begin(&t, r->hint, sizeof r->hint);
    for (unsigned i = 0; i < CONTROL_COMMAND_COUNT; i++)
        text_add(&t, "%s%s",
                 i ? ", " : "commands: ", control_command_name((enum control_command)i));
    return refuse(r, CONTROL_ERROR_UNKNOWN_COMMAND, "there is no command '%.60s'",
                  json_string_value(command));
}

static bool check_level(struct control_request *r, enum control_level level)
{
    static const enum control_level needed[] = {
#define COMMAND_LEVEL(id, name, level, about) [CONTROL_##id] = CONTROL_##level,
        CONTROL_COMMANDS(COMMAND_LEVEL)
#undef COMMAND_LEVEL
    };
    if (level >= needed[r->command])
        return true;
    snprintf(r->hint, sizeof r->hint,
             "only root and the user whom the daemon was started by may; run it as one of them");
    return refuse(r, CONTROL_ERROR_DENIED, "'%s' changes something, and this user may only read",
                  control_command_name(r->command));
}

/* The canonical form of a name or chain. */
static json_t *read_name(struct control_request *r, const struct control_argument *a, json_t *value)
{
    const char *reason = "it is not a text";
    const char *text = json_string_value(value);
    struct name_chain chain;
    bool good = text && name_chain_parse(text, &chain, &reason);
    if (good && a->kind == CONTROL_ARGUMENT_HOST && chain.count > 1) {
        reason = "one name is wanted, without via";
        good = false;
    }
    if (!good) {
        refuse(r, CONTROL_ERROR_BAD_ARGUMENT, "'%s': '%.80s' is not an overlay name: %s", a->name,
               text ? text : "", reason);
        return NULL;
    }
    char out[CHAIN_MAX * (NAME_TEXT + 5)];
    return json_string(name_chain_format(&chain, out, sizeof out));
}

static json_t *read_text(struct control_request *r, const struct control_argument *a, json_t *value)
{
    const char *text = json_string_value(value);
    size_t size = text ? strlen(text) : 0;
    bool good = size > 0 && size <= TEXT_MAX;
    for (size_t i = 0; good && i < size; i++)
        good = text[i] > ' ' && text[i] <= '~';
    if (good)
        return json_string(text);
    refuse(r, CONTROL_ERROR_BAD_ARGUMENT, "'%s' must be a text of 1 to %d printable characters",
           a->name, TEXT_MAX);
    return NULL;
}

static json_t *read_count(struct control_request *r, const struct control_argument *a,
                          json_t *value)
{
    json_int_t number = json_integer_value(value);
    if (json_is_integer(value) && number >= a->least && number <= a->most)
        return json_integer(number);
    refuse(r, CONTROL_ERROR_BAD_ARGUMENT, "'%s' must be an integer from %lld to %lld", a->name,
           (long long)a->least, (long long)a->most);
    return NULL;
}

static bool read_argument(struct control_request *r, const struct control_argument *a, json_t *args)
{
    json_t *value = json_object_get(args, a->name), *checked;
    if (!value && a->required)
        return refuse(r, CONTROL_ERROR_MISSING_ARGUMENT, "'%s' needs the argument '%s': %s",
                      control_command_name(r->command), a->name, a->text);
    if (!value)
        checked = json_integer(a->standard);
    else if (a->kind == CONTROL_ARGUMENT_COUNT)
        checked = read_count(r, a, value);
    else if (a->kind == CONTROL_ARGUMENT_TEXT)
        checked = read_text(r, a, value);
    else
        checked = read_name(r, a, value);
    return checked && !json_object_set_new(r->args, a->name, checked);
}

static bool check_known(struct control_request *r, const struct control_argument *list,
                        json_t *args)
{
    const char *key;
    json_t *value;
    struct text t;
    json_object_foreach(args, key, value)
    {
        const struct control_argument *a = list;
        while (a->name && strcmp(a->name, key))
            a++;
        if (a->name)
            continue;
        text_begin(&t, r->hint, sizeof r->hint);
        text_add(&t, "%s", list->name ? "arguments: " : "it takes none");
        for (a = list; a->name; a++)
            text_add(&t, "%s%s", a == list ? "" : ", ", a->name);
        return refuse(r, CONTROL_ERROR_UNKNOWN_ARGUMENT, "'%s' has no argument '%.40s'",
                      control_command_name(r->command), key);
    }
    return true;
}

static bool read_arguments(struct control_request *r, json_t *args)
{
    const struct control_argument *list = control_command_arguments(r->command);
    if (args && !json_is_object(args))
        return refuse(r, CONTROL_ERROR_BAD_REQUEST, "'args' must be an object");
    if (!check_known(r, list, args))
        return false;
    r->args = json_object();
    for (const struct control_argument *a = list; a->name; a++) {
        if (!read_argument(r, a, args))
            return false;
    }
    return true;
}

bool control_request_read(const char *line, size_t size, enum control_level level,
                          struct control_request *ret)
{
    json_error_t error;
    *ret = (struct control_request){0};
    if (!depth_in_limit(line, size))
        return refuse(ret, CONTROL_ERROR_BAD_JSON, "nested more than %d deep", CONTROL_DEPTH_MAX);
    json_t *request = json_loadb(line, size, JSON_REJECT_DUPLICATES, &error);
    bool good = false;
    if (!request)
        refuse(ret, CONTROL_ERROR_BAD_JSON, "column %d: %s", error.column, error.text);
    else if (!json_is_object(request))
        refuse(ret, CONTROL_ERROR_BAD_REQUEST, "a request is an object: {\"command\": ...}");
    else
        good = read_id(ret, json_object_get(request, "id")) && check_fields(ret, request) &&
               read_command(ret, json_object_get(request, "command")) && check_level(ret, level) &&
               read_arguments(ret, json_object_get(request, "args"));
    json_decref(request);
    if (!good) {
        json_decref(ret->args);
        ret->args = NULL;
    }
    return good;
}

void control_request_done(struct control_request *r)
{
    json_decref(r->id);
    json_decref(r->args);
    *r = (struct control_request){0};
}
