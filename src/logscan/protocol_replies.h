/*
 * logscan/protocol_replies.h - the replies of an Exchange protocol log without its sessions: rows that
 * cannot have one are never split. For reports that count replies and nothing else.
 */
#pragma once

#include "logscan/scan.h"

/*
 * As a format's scan(), for s->wants without WANT_LIVES and WANT_SESSIONS: a FACT_REPLY for each reply
 * of the side whose rows have this event ('<': the receiver's, in a send log; '>': our own, in a receive
 * log). Connections that failed are told too (code 0; of a send log). The lines of one reply are joined
 * by session; one that began more than LOG_LOOKBACK before a border of chunks loses its first lines.
 * Rows that are passed over are counted and not looked at: their columns are not checked.
 */
void protocol_scan_replies(struct log_scan *s, char event);
