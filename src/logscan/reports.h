/*
 * logscan/reports.h - each report's object; report.h says what it is made of.
 */
#pragma once

#include "logscan/report.h"

extern const struct log_report_kind blame_report;
extern const struct log_report_kind capacity_report;
extern const struct log_report_kind daily_report;
extern const struct log_report_kind delivery_report;
extern const struct log_report_kind hourly_report;
extern const struct log_report_kind status_report;
extern const struct log_report_kind top_report;
