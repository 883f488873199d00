/*
 * platform.h - the little that the conformance programs need beside the API: strings, handles, threads.
 *
 * The one file in which Windows and Linux differ.
 */
#ifndef PLATFORM_H
#define PLATFORM_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef _WIN32
#include <windows.h>
#include <combaseapi.h>
#else
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <unistd.h>
#endif

#include <ComputeCore.h>
#include <ComputeStorage.h>

/* A string literal of the API. */
#if defined(_WIN32) || defined(HCS_WIDE) || (defined(__SIZEOF_WCHAR_T__) && __SIZEOF_WCHAR_T__ == 2)
#define W(literal) L##literal
#else
#define W(literal) u##literal
#endif

/* What the programs run, and in what; and what HcsCancelOperation answers, which Windows does not have. */
#ifdef _WIN32
#define CANCEL_RESULT(elsewhere) E_NOTIMPL
#define DEFAULT_SYSTEM "{\"SchemaVersion\":{\"Major\":2,\"Minor\":1},\"Owner\":\"test\",\"Container\":{}}"
#define COMMAND_COPY "\"CommandLine\":\"more.com\""
#define COMMAND_EXIT_7 "\"CommandLine\":\"cmd.exe /c exit 7\""
#define COMMAND_BOTH "\"CommandLine\":\"cmd.exe /c echo out& echo err>&2\""
#define COMMAND_SLEEP "\"CommandLine\":\"ping.exe -n 1000 127.0.0.1\""
#define COMMAND_STUBBORN COMMAND_SLEEP
#define LINE_END "\r\n"
#define SIGNAL_OPTIONS "{\"Signal\":\"CtrlC\"}"
#define IS_KILLED(exit_code) ((exit_code) != 0)
#else
#define CANCEL_RESULT(elsewhere) (elsewhere)
#define DEFAULT_SYSTEM                                                                                                 \
    "{\"SchemaVersion\":{\"Major\":2,\"Minor\":1},\"Owner\":\"test\","                                                 \
    "\"ShouldTerminateOnLastHandleClosed\":true,\"Container\":{}}"
#define COMMAND_COPY "\"CommandLine\":\"cat\""
#define COMMAND_EXIT_7 "\"CommandLine\":\"sh -c 'exit 7'\""
#define COMMAND_BOTH "\"CommandLine\":\"sh -c 'echo out; echo err >&2'\""
#define COMMAND_SLEEP "\"CommandLine\":\"sleep 1000\""
/* Says that it is ready, and does not end when it is asked to. */
#define COMMAND_STUBBORN "\"CommandLine\":\"sh -c 'trap : TERM; echo ready; while :; do sleep 1; done'\""
#define LINE_END "\n"
#define SIGNAL_OPTIONS "{\"Signal\":15}"
#define IS_KILLED(exit_code) ((exit_code) == 128 + 9)
#endif

/* ---- Strings ---- */

/* UTF-8 to strings of the API; to be freed with free(). */
static inline WCHAR *platform_wide(const char *text)
{
    const unsigned char *in = (const unsigned char *)text;
    WCHAR *wide = (WCHAR *)malloc((strlen(text) + 1) * sizeof(WCHAR));
    size_t length = 0;
    while (wide != NULL && *in != 0) {
        uint32_t point = *in++;
        int more = point >= 0xF0 ? 3 : point >= 0xE0 ? 2 : point >= 0xC0 ? 1 : 0;
        if (more > 0) {
            point &= 0x3Fu >> more;
        }
        for (; more > 0 && *in != 0; more--) {
            point = point << 6 | (*in++ & 0x3Fu);
        }
        if (point >= 0x10000 && sizeof(WCHAR) == 2) {
            wide[length++] = (WCHAR)(0xD7C0 + (point >> 10));
            point = 0xDC00 | (point & 0x3FF);
        }
        wide[length++] = (WCHAR)point;
    }
    if (wide != NULL) {
        wide[length] = 0;
    }
    return wide;
}

/* The other way round; to be freed with free(). */
static inline char *platform_utf8(const WCHAR *wide)
{
    size_t length = 0;
    char *text, *out;
    while (wide[length] != 0) {
        length++;
    }
    text = out = (char *)malloc(length * 4 + 1);
    while (text != NULL && *wide != 0) {
        uint32_t point = (uint32_t)*wide++;
        if (sizeof(WCHAR) == 2 && point >= 0xD800 && point < 0xDC00 && *wide != 0) {
            point = 0x10000 + ((point & 0x3FF) << 10 | (*wide++ & 0x3FFu));
        }
        if (point < 0x80) {
            *out++ = (char)point;
        } else if (point < 0x800) {
            *out++ = (char)(0xC0 | point >> 6);
        } else if (point < 0x10000) {
            *out++ = (char)(0xE0 | point >> 12);
            *out++ = (char)(0x80 | (point >> 6 & 0x3F));
        } else {
            *out++ = (char)(0xF0 | point >> 18);
            *out++ = (char)(0x80 | (point >> 12 & 0x3F));
            *out++ = (char)(0x80 | (point >> 6 & 0x3F));
        }
        if (point >= 0x80) {
            *out++ = (char)(0x80 | (point & 0x3F));
        }
    }
    if (text != NULL) {
        *out = 0;
    }
    return text;
}

/* ---- Files ---- */

/* A path where nothing is; to be freed with free(). */
static inline WCHAR *platform_unused_path(void)
{
#ifdef _WIN32
    char folder[MAX_PATH], name[MAX_PATH];
    if (GetTempPathA(sizeof folder, folder) == 0 || GetTempFileNameA(folder, "hcs", 0, name) == 0 ||
        !DeleteFileA(name)) {
        return NULL;
    }
#else
    char name[] = "/tmp/hcs-XXXXXX";
    int file = mkstemp(name);
    if (file == -1 || close(file) != 0 || unlink(name) != 0) {
        return NULL;
    }
#endif
    return platform_wide(name);
}

/* Removes a file; answers whether it was there. */
static inline int platform_remove(const WCHAR *path)
{
    char *name = platform_utf8(path);
    int removed = name != NULL && remove(name) == 0;
    free(name);
    return removed;
}

/* ---- The API's HANDLEs ---- */

#ifdef _WIN32

static inline size_t platform_read(HANDLE handle, void *buffer, size_t size)
{
    DWORD got = 0;
    return ReadFile(handle, buffer, (DWORD)size, &got, NULL) ? got : 0;
}

static inline int platform_write(HANDLE handle, const void *data, size_t size)
{
    DWORD put = 0;
    return WriteFile(handle, data, (DWORD)size, &put, NULL) && put == size;
}

static inline void platform_close(HANDLE handle)
{
    if (handle != NULL) {
        CloseHandle(handle);
    }
}

static inline long platform_open_handles(void)
{
    DWORD count = 0;
    GetProcessHandleCount(GetCurrentProcess(), &count);
    return (long)count;
}

static inline unsigned long platform_process_id(void) { return GetCurrentProcessId(); }

typedef volatile LONG platform_counter;
static inline void platform_count(platform_counter *counter) { InterlockedIncrement(counter); }
static inline long platform_counted(platform_counter *counter) { return *counter; }

typedef HANDLE platform_semaphore;
static inline void platform_semaphore_make(platform_semaphore *it) { *it = CreateSemaphoreW(NULL, 0, MAXLONG, NULL); }
static inline void platform_semaphore_post(platform_semaphore *it) { ReleaseSemaphore(*it, 1, NULL); }
static inline void platform_semaphore_wait(platform_semaphore *it) { WaitForSingleObject(*it, INFINITE); }
static inline void platform_semaphore_free(platform_semaphore *it) { CloseHandle(*it); }

typedef HANDLE platform_thread;
#define PLATFORM_THREAD_RESULT DWORD WINAPI
static inline int platform_thread_start(platform_thread *it, LPTHREAD_START_ROUTINE run, void *argument)
{
    *it = CreateThread(NULL, 0, run, argument, 0, NULL);
    return *it != NULL;
}
static inline void platform_thread_join(platform_thread it)
{
    WaitForSingleObject(it, INFINITE);
    CloseHandle(it);
}

#else

static inline int platform_descriptor(HANDLE handle) { return (int)(intptr_t)handle; }

static inline size_t platform_read(HANDLE handle, void *buffer, size_t size)
{
    ssize_t got;
    do {
        got = read(platform_descriptor(handle), buffer, size);
    } while (got < 0 && errno == EINTR);
    return got < 0 ? 0 : (size_t)got;
}

static inline int platform_write(HANDLE handle, const void *data, size_t size)
{
    const char *rest = (const char *)data;
    while (size > 0) {
        ssize_t put = write(platform_descriptor(handle), rest, size);
        if (put < 0 && errno != EINTR) {
            return 0;
        }
        if (put > 0) {
            rest += put;
            size -= (size_t)put;
        }
    }
    return 1;
}

static inline void platform_close(HANDLE handle)
{
    if (handle != NULL) {
        close(platform_descriptor(handle));
    }
}

static inline long platform_open_handles(void)
{
    long count = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (folder != NULL && readdir(folder) != NULL) {
        count++;
    }
    if (folder != NULL) {
        closedir(folder);
    }
    return count;
}

static inline unsigned long platform_process_id(void) { return (unsigned long)getpid(); }

typedef atomic_long platform_counter;
static inline void platform_count(platform_counter *counter) { atomic_fetch_add(counter, 1); }
static inline long platform_counted(platform_counter *counter) { return atomic_load(counter); }

typedef sem_t platform_semaphore;
static inline void platform_semaphore_make(platform_semaphore *it) { sem_init(it, 0, 0); }
static inline void platform_semaphore_post(platform_semaphore *it) { sem_post(it); }
static inline void platform_semaphore_wait(platform_semaphore *it)
{
    while (sem_wait(it) != 0) {
    }
}
static inline void platform_semaphore_free(platform_semaphore *it) { sem_destroy(it); }

typedef pthread_t platform_thread;
#define PLATFORM_THREAD_RESULT void *
static inline int platform_thread_start(platform_thread *it, void *(*run)(void *), void *argument)
{
    return pthread_create(it, NULL, run, argument) == 0;
}
static inline void platform_thread_join(platform_thread it) { pthread_join(it, NULL); }

#endif

/* Reads to the end; the text is to be freed with free(). */
static inline char *platform_read_all(HANDLE handle)
{
    size_t size = 0, room = 256;
    char *text = (char *)malloc(room);
    size_t got = 1;
    while (text != NULL && got > 0) {
        if (room - size < 128) {
            char *larger = (char *)realloc(text, room *= 2);
            if (larger == NULL) {
                free(text);
                return NULL;
            }
            text = larger;
        }
        got = platform_read(handle, text + size, room - size - 1);
        size += got;
    }
    if (text != NULL) {
        text[size] = 0;
    }
    return text;
}

#endif
