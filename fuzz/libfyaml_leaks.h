/*
 * fuzz/libfyaml_leaks.h - for targets that read YAML: libfyaml 0.7.12 loses up to a KiB of its own
 * where a quoted key in a flow map is wrong. Nothing of ours hangs on it; a leak of ours is found
 * as ever.
 */
#pragma once

const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libfyaml\n";
}
