#include "base/id.h"

#include <errno.h>
#include <string.h>

static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";

size_t id_format(uint64_t id, char ret[static ID_TEXT_MAX])
{
    char text[ID_TEXT_MAX];
    size_t at = sizeof(text) - 1, len;

    text[at] = '\0';
    do {
        text[--at] = alphabet[id & 31];
        id >>= 5;
    } while (id);
    len = sizeof(text) - 1 - at;
    memcpy(ret, text + at, len + 1);
    return len;
}

int id_parse(struct slice text, uint64_t *ret)
{
    uint64_t id = 0;

    if (text.len == 0 || text.len >= ID_TEXT_MAX)
        return -EINVAL;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = byte_lower(text.ptr[i]);
        const char *p;

        c = c == 'o' ? '0' : c == 'i' || c == 'l' ? '1' : c;
        p = memchr(alphabet, c, sizeof(alphabet) - 1);
        if (!p || id >> 59)
            return -EINVAL;
        id = id << 5 | (uint64_t)(p - alphabet);
    }
    *ret = id;
    return 0;
}
