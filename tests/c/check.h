/*
 * check.h - what a conformance program needs to check and to report.
 *
 * A program is a list of cases. A failed check is told and counted, and the case goes on; the program's exit status
 * says whether there was one.
 */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform.h"

/* Shared by the threads of a program. */
static platform_counter check_failures;

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            platform_count(&check_failures);                                                                           \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                                    \
        }                                                                                                              \
    } while (0)

/* Checks which HRESULT a call returns. */
#define CHECK_HR(call, expected) check_hresult((call), (expected), __FILE__, __LINE__, #call, #expected)

static inline HRESULT check_hresult(HRESULT found, HRESULT expected, const char *file, int line, const char *call,
                                    const char *name)
{
    if (found != expected) {
        platform_count(&check_failures);
        fprintf(stderr, "%s:%d: %s gave 0x%08X, expected %s (0x%08X)\n", file, line, call, (unsigned)found, name,
                (unsigned)expected);
    }
    return found;
}

/*
 * Checks a row of conformance.toml, which `id` names: "Function/what". Each row that was found to be so is told on a
 * line of its own, "row " and the id.
 */
#define CONFORMS(id, condition) check_row((id), (condition) ? 1 : 0, __FILE__, __LINE__, #condition)

/* The same for a row that is an HRESULT. */
#define CONFORMS_HR(id, call, expected)                                                                                \
    check_row_told((id), check_hresult((call), (expected), __FILE__, __LINE__, #call, #expected) == (expected))

static inline void check_row_told(const char *id, int so)
{
    if (so) {
        printf("row %s\n", id);
    }
}

static inline void check_row(const char *id, int so, const char *file, int line, const char *condition)
{
    if (!so) {
        platform_count(&check_failures);
        fprintf(stderr, "%s:%d: %s: not so: %s\n", file, line, id, condition);
    }
    check_row_told(id, so);
}

/* For what every further check of the program depends on. */
#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: cannot go on without: %s\n", __FILE__, __LINE__, #condition);                      \
            exit(2);                                                                                                   \
        }                                                                                                              \
    } while (0)

/* Runs one case. */
#define RUN(test)                                                                                                      \
    do {                                                                                                               \
        long before = platform_counted(&check_failures);                                                               \
        test();                                                                                                        \
        printf("%s %s\n", platform_counted(&check_failures) == before ? "ok  " : "FAIL", #test);                       \
        fflush(stdout);                                                                                                \
    } while (0)

#define EXIT_STATUS (platform_counted(&check_failures) == 0 ? 0 : 1)

/* A number from the environment: the size of a test. */
static inline long check_setting(const char *name, long otherwise)
{
    const char *value = getenv(name);
    return value == NULL ? otherwise : strtol(value, NULL, 10);
}

/* A result document as UTF-8, to be freed with free(); the document itself is released. NULL stays NULL. */
static inline char *take_text(PWSTR document)
{
    char *text;
    if (document == NULL) {
        return NULL;
    }
    text = platform_utf8(document);
    LocalFree(document);
    return text;
}

/* Where the value of a property begins in a JSON text, whatever blanks are in it; NULL when there is none. */
static inline const char *json_value(const char *text, const char *property)
{
    char name[64];
    const char *at = text;
    snprintf(name, sizeof name, "\"%s\"", property);
    while (at != NULL && (at = strstr(at, name)) != NULL) {
        at += strlen(name);
        at += strspn(at, " \t\r\n");
        if (*at == ':') {
            return at + 1 + strspn(at + 1, " \t\r\n");
        }
    }
    return NULL;
}

/* A number property of a JSON text, `otherwise` when there is none. */
static inline long json_number(const char *text, const char *property, long otherwise)
{
    const char *value = text == NULL ? NULL : json_value(text, property);
    return value == NULL ? otherwise : strtol(value, NULL, 10);
}

/* Whether a document is a ResultError with this code and a message; releases it. */
static inline int is_error(PWSTR document, HRESULT code)
{
    char *text = take_text(document);
    const char *message = text == NULL ? NULL : json_value(text, "ErrorMessage");
    int is = message != NULL && message[0] == '"' && message[1] != '"' && json_number(text, "Error", 0) == (long)code;
    if (!is) {
        fprintf(stderr, "not a ResultError with 0x%08X and a message: %s\n", (unsigned)code,
                text == NULL ? "NULL" : text);
    }
    free(text);
    return is;
}

#define CHECK_ERROR(document, code) check_error((document), (code), __FILE__, __LINE__)

static inline void check_error(PWSTR document, HRESULT code, const char *file, int line)
{
    if (!is_error(document, code)) {
        platform_count(&check_failures);
        fprintf(stderr, "%s:%d: that is not so\n", file, line);
    }
}

#endif
