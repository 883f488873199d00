/*
 * absent.h - checks of functions that take strings and files and are not implemented: with all of them given they
 * answer E_NOTIMPL, never success; without any one that they need, E_INVALIDARG.
 */
#ifndef ABSENT_H
#define ABSENT_H

#include "check.h"

/* The most that one of them needs. */
enum { ABSENT_MOST = 4 };

struct absent_function {
    const char *good_row, *null_row;
    /* Calls the function with what it needs: `ABSENT_MOST` arguments or fewer. */
    HRESULT (*call)(PCWSTR const *given);
    size_t needed;
};

/* How a function is called: the `i`th argument it needs is `given[i]`. */
#define ABSENT_CALL(function, ...)                                                                                     \
    static HRESULT call_##function(PCWSTR const *given)                                                                \
    {                                                                                                                  \
        return function(__VA_ARGS__);                                                                                  \
    }

/* An argument that is a file. */
#define ABSENT_FILE(text) ((HANDLE)(uintptr_t)(text))

static inline void check_absent(const struct absent_function *functions, size_t count)
{
    size_t i, missing;
    for (i = 0; i < count; i++) {
        PCWSTR given[ABSENT_MOST] = {W("/tmp/a"), W("/tmp/b"), W("/tmp/c"), W("/tmp/d")};
        CONFORMS_HR(functions[i].good_row, functions[i].call(given), E_NOTIMPL);
        for (missing = 0; missing < functions[i].needed; missing++) {
            PCWSTR kept = given[missing];
            given[missing] = NULL;
            CONFORMS_HR(functions[i].null_row, functions[i].call(given), E_INVALIDARG);
            given[missing] = kept;
        }
    }
}

#define CHECK_ABSENT(functions) check_absent((functions), sizeof(functions) / sizeof((functions)[0]))

#endif
