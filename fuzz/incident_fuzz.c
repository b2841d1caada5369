/*
 * fuzz/incident_fuzz.c - any bytes are an incident or are refused; what is taken can be encoded, and
 * comes back the same.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/err.h"
#include "evidence/incident.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct incident first, second;
    struct buf one = BUF_INIT(INCIDENT_JSON_MAX), two = BUF_INIT(INCIDENT_JSON_MAX);
    struct verdict_facts facts;
    int r = incident_decode(slice_make(data, size), &first);

    ASSERT(r == 0 || r == -ERR_DAMAGED);
    if (r == 0) {
        ASSERT(incident_encode(&first, &one) == 0);
        ASSERT(incident_decode(buf_slice(&one), &second) == 0);
        ASSERT(incident_encode(&second, &two) == 0);
        ASSERT(slice_eq(buf_slice(&one), buf_slice(&two)));
        incident_facts(&first, &facts);
        verdict_decide(&facts, &first.verdict);
        incident_changed(&first, 1, slice_make(data, size));
        ASSERT(first.change_count <= INCIDENT_CHANGES_MAX);
    }
    buf_done(&one);
    buf_done(&two);
    return 0;
}
