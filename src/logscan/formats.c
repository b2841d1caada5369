/*
 * logscan/formats.c - the formats that are known, and which a file is of.
 */
#include "logscan/formats.h"

#include <stddef.h>

const struct log_format *const log_formats[] = {
    &exim_format,
    &haraka_format,
    &postfix_format,
    &postfix_journal_format,
    &exchange_receive_format,
    &exchange_send_format,
    &exchange_tracking_format,
    &powermta_format,
    &exchange_connectivity_format,
    &kumomta_format,
    &penstock_events_format,
    NULL,
};

const struct log_format *log_format_find(struct slice name)
{
    for (size_t i = 0; log_formats[i]; i++)
        if (slice_eq_case(slice_str(log_formats[i]->name), name))
            return log_formats[i];
    return NULL;
}

const struct log_format *log_format_detect(struct slice head)
{
    const struct log_format *best = NULL;
    unsigned most = 0;

    for (size_t i = 0; log_formats[i]; i++) {
        unsigned certain = log_formats[i]->detect(head);

        if (certain > most) {
            most = certain;
            best = log_formats[i];
        }
    }
    return best;
}
