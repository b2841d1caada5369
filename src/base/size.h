/*
 * base/size.h - a number of bytes for people, in units of 1024, to two digits or three.
 */
#pragma once

#include <stdint.h>

#define SIZE_TEXT_MAX 32

/* "512 B", "1.2 GiB", "38 MiB". */
void size_format(uint64_t bytes, char ret[static SIZE_TEXT_MAX]);
/* For columns: "512", "1.2G", "38M". */
void size_format_short(uint64_t bytes, char ret[static SIZE_TEXT_MAX]);
