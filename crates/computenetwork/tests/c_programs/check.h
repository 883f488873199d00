/* check.h - what the programs share: a check that tells where it failed, strings, codes. */
#ifndef CHECK_H
#define CHECK_H

#include <ComputeNetwork.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Ends the program unless it holds. */
#define CHECK(holds) \
    do { \
        if (!(holds)) { \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #holds); \
            exit(1); \
        } \
    } while (0)

/* The text of a string of ASCII, in one of two buffers; releases the string. */
static inline const char *taken(PWSTR text)
{
    static char buffers[2][65536];
    static int which;
    char *buffer = buffers[which ^= 1];
    size_t at = 0;
    CHECK(text != NULL);
    for (; text[at] != 0 && at + 1 < sizeof buffers[0]; at++)
        buffer[at] = (char)text[at];
    buffer[at] = 0;
    CoTaskMemFree(text);
    return buffer;
}

/* Ends the program unless a call answered this, with an ErrorRecord on failure only. */
static inline void answered(HRESULT found, HRESULT wanted, PWSTR record, int line)
{
    const char *said = record == NULL ? "" : taken(record);
    if (found != wanted || (found >= 0) != (record == NULL)) {
        fprintf(stderr, "line %d: %08x and not %08x: %s\n", line, (unsigned)found, (unsigned)wanted, said);
        exit(1);
    }
}
#define ANSWERS(wanted, call) \
    do { \
        PWSTR record = NULL; \
        HRESULT found = (call); \
        answered(found, (HRESULT)(wanted), record, __LINE__); \
    } while (0)

/* Checks a row of conformance.toml, which `id` names: "Function/what", and tells that it was found to be so. */
#define CONFORMS(id, holds) \
    do { \
        CHECK(holds); \
        printf("row %s\n", id); \
    } while (0)

/* The same for a row that is what a call answers, with an ErrorRecord on failure only. */
#define CONFORMS_HR(id, wanted, call) \
    do { \
        ANSWERS(wanted, call); \
        printf("row %s\n", id); \
    } while (0)

#endif
