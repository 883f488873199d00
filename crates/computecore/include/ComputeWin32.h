/*
 * ComputeWin32.h - the few Windows base types, macros and codes that the Host Compute Service API is written with.
 *
 * Included by ComputeDefs.h; no program has to include it itself. Every macro is defined only where the program has not
 * defined it already. The types are plain typedefs, which C11 and C++ allow to be repeated with the same meaning; a
 * program that brings different ones of its own (a Windows portability layer) defines COMPUTECORE_NO_WIN32_TYPES before
 * the first include and has to provide all of them, with the sizes they have on Windows.
 *
 * DWORD, HRESULT and the enumerations are 32 bits wide, as on Windows, on every Linux.
 */
#ifndef COMPUTECORE_COMPUTEWIN32_H
#define COMPUTECORE_COMPUTEWIN32_H

#include <stddef.h>
#include <stdint.h>

#ifndef COMPUTECORE_NO_WIN32_TYPES

/* One UTF-16 code unit. With -fshort-wchar it is wchar_t, so that L"..." can be passed; otherwise char16_t: u"...". */
#if defined(__SIZEOF_WCHAR_T__) && __SIZEOF_WCHAR_T__ == 2
typedef wchar_t WCHAR;
#else
#ifndef __cplusplus
#include <uchar.h>
#endif
typedef char16_t WCHAR;
#endif

typedef int32_t HRESULT;
typedef uint32_t DWORD;
typedef uint64_t UINT64;
typedef int BOOL;

/* A NUL-terminated UTF-16 string, to be written and only to be read. */
typedef WCHAR *PWSTR;
typedef const WCHAR *PCWSTR;

/* On Linux a HANDLE holds a file descriptor, always 3 or more and with close-on-exec set; NULL means "none". To use it:
 * int fd = (int)(intptr_t)handle; its owner closes it with close(2). */
typedef void *HANDLE;
/* Memory that LocalFree releases. */
typedef void *HLOCAL;

/* Never looked into: every parameter of this type has to be NULL. */
typedef struct _SECURITY_DESCRIPTOR SECURITY_DESCRIPTOR;

#endif /* COMPUTECORE_NO_WIN32_TYPES */

/* Calling conventions: Linux has one. */
#ifndef WINAPI
#define WINAPI
#endif
#ifndef CALLBACK
#define CALLBACK
#endif

/* Source annotations of Windows: what a parameter is, for readers and analysers. */
#ifndef _In_
#define _In_
#endif
#ifndef _In_opt_
#define _In_opt_
#endif
#ifndef _Out_
#define _Out_
#endif
#ifndef _Out_opt_
#define _Out_opt_
#endif
#ifndef _Outptr_
#define _Outptr_
#endif
#ifndef _Outptr_opt_
#define _Outptr_opt_
#endif

#ifndef FALSE
#define FALSE 0
#endif
#ifndef TRUE
#define TRUE 1
#endif

/* A time limit that never ends. */
#ifndef INFINITE
#define INFINITE 0xFFFFFFFFu
#endif

/* Values for requestedAccess; see HcsOpenComputeSystem. */
#ifndef GENERIC_READ
#define GENERIC_READ 0x80000000u
#endif
#ifndef GENERIC_WRITE
#define GENERIC_WRITE 0x40000000u
#endif
#ifndef GENERIC_EXECUTE
#define GENERIC_EXECUTE 0x20000000u
#endif
#ifndef GENERIC_ALL
#define GENERIC_ALL 0x10000000u
#endif

/* HRESULT: negative means failure. */
#ifndef SUCCEEDED
#define SUCCEEDED(hr) (((HRESULT)(hr)) >= 0)
#endif
#ifndef FAILED
#define FAILED(hr) (((HRESULT)(hr)) < 0)
#endif
#ifndef HRESULT_CODE
#define HRESULT_CODE(hr) ((hr) & 0xFFFF)
#endif
#ifndef HRESULT_FROM_WIN32
#define HRESULT_FROM_WIN32(code)                                                                                       \
    ((HRESULT)(code) <= 0 ? (HRESULT)(code) : (HRESULT)(((uint32_t)(code) & 0xFFFFu) | 0x80070000u))
#endif

#ifndef S_OK
#define S_OK ((HRESULT)0)
#endif
#ifndef S_FALSE
#define S_FALSE ((HRESULT)1)
#endif
#ifndef E_NOTIMPL
#define E_NOTIMPL ((HRESULT)0x80004001u)
#endif
#ifndef E_POINTER
#define E_POINTER ((HRESULT)0x80004003u)
#endif
#ifndef E_ABORT
#define E_ABORT ((HRESULT)0x80004004u)
#endif
#ifndef E_FAIL
#define E_FAIL ((HRESULT)0x80004005u)
#endif
#ifndef E_UNEXPECTED
#define E_UNEXPECTED ((HRESULT)0x8000FFFFu)
#endif
#ifndef E_ACCESSDENIED
#define E_ACCESSDENIED ((HRESULT)0x80070005u)
#endif
#ifndef E_HANDLE
#define E_HANDLE ((HRESULT)0x80070006u)
#endif
#ifndef E_OUTOFMEMORY
#define E_OUTOFMEMORY ((HRESULT)0x8007000Eu)
#endif
#ifndef E_INVALIDARG
#define E_INVALIDARG ((HRESULT)0x80070057u)
#endif

/* Win32 codes that arrive wrapped by HRESULT_FROM_WIN32. */
#ifndef ERROR_FILE_NOT_FOUND
#define ERROR_FILE_NOT_FOUND 2
#endif
#ifndef ERROR_ACCESS_DENIED
#define ERROR_ACCESS_DENIED 5
#endif
#ifndef ERROR_NOT_SUPPORTED
#define ERROR_NOT_SUPPORTED 50
#endif
#ifndef ERROR_ALREADY_EXISTS
#define ERROR_ALREADY_EXISTS 183
#endif
#ifndef ERROR_NOT_FOUND
#define ERROR_NOT_FOUND 1168
#endif
#ifndef ERROR_CANCELLED
#define ERROR_CANCELLED 1223
#endif
#ifndef ERROR_NO_SYSTEM_RESOURCES
#define ERROR_NO_SYSTEM_RESOURCES 1450
#endif
#ifndef ERROR_TIMEOUT
#define ERROR_TIMEOUT 1460
#endif

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Releases a string that this library returned. NULL is fine.
 *
 * Thread-safe. CoTaskMemFree does the same; either may be used for every string, once.
 *
 * @return NULL, always. Windows reference: LocalFree (winbase.h).
 */
HLOCAL WINAPI LocalFree(_In_opt_ HLOCAL memory);

/**
 * Releases a string that this library returned. NULL is fine. The same as LocalFree.
 *
 * Windows reference: CoTaskMemFree (combaseapi.h).
 */
void WINAPI CoTaskMemFree(_In_opt_ void *memory);

#ifdef __cplusplus
}
#endif

#endif /* COMPUTECORE_COMPUTEWIN32_H */
