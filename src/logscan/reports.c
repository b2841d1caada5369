/*
 * logscan/reports.c - the reports that are known.
 */
#include "logscan/reports.h"

#include <string.h>

const struct log_report_kind *const log_reports[] = {
    &status_report,   &daily_report, &hourly_report, &capacity_report,
    &delivery_report, &blame_report, &top_report,    NULL,
};

const struct log_report_kind *log_report_find(const char *name)
{
    for (size_t i = 0; log_reports[i]; i++)
        if (strcmp(log_reports[i]->name, name) == 0)
            return log_reports[i];
    return NULL;
}
