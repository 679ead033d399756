/* resolv.conf: any content is read, comes back byte for byte from inside ours, and names no server
 * in ours but us. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "linux/resolvconf.h"

static void there_and_back(const char *content, size_t size)
{
    struct linux_resolvconf_former back, former = {.kind = RESOLVCONF_FILE,
                                                   .mode = 0644,
                                                   .content = (char *)content,
                                                   .content_size = size};
    struct ip_address ours = {.family = 4, .bytes = {198, 18, 0, 1}};
    struct linux_resolvconf seen;
    char *text, tag[RESOLVCONF_PATH];
    size_t text_size;
    require(!linux_resolvconf_render(&former, "/run/x", &ours, content, size, &text, &text_size));
    linux_resolvconf_parse(text, text_size, &seen);
    require(seen.count == 1 && ip_address_equal(&seen.server[0].ip, &ours));
    require(linux_resolvconf_unrender(text, text_size, &back, tag));
    require(back.content_size == size && (size == 0 || memcmp(back.content, content, size) == 0));
    free(back.content);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct linux_resolvconf r;
    struct linux_resolvconf_former former;
    char tag[RESOLVCONF_PATH];
    linux_resolvconf_parse(text, size, &r);
    require(r.count <= RESOLVCONF_SERVERS);
    if (linux_resolvconf_unrender(text, size, &former, tag)) {
        require(former.content_size <= size && strlen(tag) < sizeof tag);
        free(former.content);
    }
    there_and_back(text, size);
    return 0;
}
