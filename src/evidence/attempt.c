/*
 * evidence/attempt.c - names and counts of attempts.
 */
#include "evidence/attempt.h"

const char *attempt_result_name(enum attempt_result r)
{
    static const char *const names[] = {[ATTEMPT_RESULT_DELIVERED] = "delivered",
                                        [ATTEMPT_RESULT_DEFERRED] = "deferred",
                                        [ATTEMPT_RESULT_FAILED] = "failed"};

    return names[r];
}

void attempt_counts(const struct attempt *a, struct window_counts *ret)
{
    bool is_delivered = a->result == ATTEMPT_RESULT_DELIVERED, is_first = a->number <= 1;

    *ret = (struct window_counts){.attempts = 1,
                                  .deferred = a->result == ATTEMPT_RESULT_DEFERRED,
                                  .failed = a->result == ATTEMPT_RESULT_FAILED,
                                  .capacity = a->klass == REPLY_CAPACITY,
                                  .rate = a->klass == REPLY_RATE,
                                  .policy =
                                      a->klass == REPLY_POLICY || a->klass == REPLY_AUTHENTICATION,
                                  .connection = a->klass == REPLY_CONNECTION,
                                  .retries = !is_first,
                                  .delivered_first = is_delivered && is_first,
                                  .delivered_later = is_delivered && !is_first,
                                  .retries_delivered = is_delivered && !is_first};
}
