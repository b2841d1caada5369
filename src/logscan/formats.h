/*
 * logscan/formats.h - each format's object; scan.h says what it is made of.
 */
#pragma once

#include "logscan/scan.h"

extern const struct log_format exchange_send_format;    /* protocol_....c */
extern const struct log_format exchange_receive_format; /* protocol_....c */
extern const struct log_format exchange_tracking_format;
extern const struct log_format exchange_connectivity_format;
extern const struct log_format postfix_format;
extern const struct log_format postfix_journal_format;
extern const struct log_format exim_format;
extern const struct log_format haraka_format;
extern const struct log_format kumomta_format;
extern const struct log_format powermta_format;
extern const struct log_format penstock_events_format;
