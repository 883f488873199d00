/*
 * Names in the directory `place` of a program, which defines that before: as narrow text, and as strings of the API.
 */
#ifndef HCS_TESTS_PLACE_H
#define HCS_TESTS_PLACE_H

#include "check.h"

#include <stdarg.h>

/* Enough for a path, and for a document with some. */
enum { LONGEST = 512 };

/* A path in the place, or another text with up to two of them; one of eight buffers. */
static const char *text(const char *format, ...)
{
    static char buffers[8][LONGEST];
    static int next;
    char *buffer = buffers[next++ % 8];
    va_list values;
    va_start(values, format);
    vsnprintf(buffer, LONGEST, format, values);
    va_end(values);
    return buffer;
}

static const char *at(const char *name)
{
    return text("%s/%s", place, name);
}

/* The same as a string of the API, likewise. */
static PCWSTR wide(const char *narrow)
{
    static WCHAR *strings[8];
    static int next;
    int which = next++ % 8;
    free(strings[which]);
    strings[which] = platform_wide(narrow);
    REQUIRE(strings[which] != NULL);
    return strings[which];
}

static PCWSTR path(const char *name)
{
    return wide(at(name));
}

#endif
