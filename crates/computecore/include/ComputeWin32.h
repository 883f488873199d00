/*
 * ComputeWin32.h - the few Windows base types, macros and codes that the Host Compute Service API is written with.
 *
 * Included by ComputeDefs.h; no program has to include it itself. Every macro is defined only where the program has
 * not defined it already, so headers of another environment (Wine, mingw, DirectX-Headers) are included before these.
 * The types are plain typedefs, which C11 and C++ allow to be repeated with the same meaning. A program that brings
 * one with another meaning defines COMPUTECORE_NO_ and its name before the first include
 * (COMPUTECORE_NO_SECURITY_DESCRIPTOR), or COMPUTECORE_NO_WIN32_TYPES for all; it then has the size it has on Windows.
 * Types that the guards of windef.h and winnt.h announce are not declared again. COMPUTECORE_NO_FREES leaves LocalFree
 * and CoTaskMemFree undeclared, where those are functions of the environment: free(3) releases strings of this
 * library, too.
 *
 * The library itself has one calling convention, that of Linux. Where the environment's WINAPI and CALLBACK mean
 * another, callbacks are declared with HCS_CALLBACK_.
 *
 * DWORD, HRESULT and the enumerations are 32 bits wide, as on Windows, on every Linux.
 *
 * Strings. WCHAR is char16_t and strings are UTF-16, written u"...". Source that was written for Windows has L"..."
 * and std::wstring, and is compiled in one of two ways:
 *
 *   -DHCS_WIDE       WCHAR is the wchar_t of Linux, which has 32 bits, and strings are UTF-32. For programs that use
 *                    wcslen, std::wstring, wprintf. pkg-config computecore-wide gives this.
 *   -fshort-wchar    wchar_t has 16 bits and is WCHAR. For programs in C that only pass literals on: the C and C++
 *                    libraries of the system have the other wchar_t, so neither their wide functions nor std::wstring
 *                    may be used.
 *
 * The rules for UTF-16 here, lone surrogates included, hold for UTF-32 with surrogates and values beyond U+10FFFF.
 * Objects compiled in different ways may be linked into one program, and share handles; strings and HCS_EVENT
 * structures stay within each.
 */
/* Defined for one of two inclusions only, HCS_WIDE would give a type two meanings. */
#if defined(COMPUTECORE_COMPUTEWIN32_H) && (defined(HCS_WIDE) != defined(COMPUTECORE_IS_WIDE_))
#error "HCS_WIDE is defined before the first header of ComputeCore, or not at all"
#endif
#ifndef COMPUTECORE_COMPUTEWIN32_H
#define COMPUTECORE_COMPUTEWIN32_H

#ifdef HCS_WIDE
#define COMPUTECORE_IS_WIDE_
#if !defined(__SIZEOF_WCHAR_T__) || __SIZEOF_WCHAR_T__ != 4
#error "HCS_WIDE needs a wchar_t of 32 bits; with -fshort-wchar it is not needed"
#endif
#endif

#include <stddef.h>
#include <stdint.h>

/* What is there already, one by one. */
#ifdef COMPUTECORE_NO_WIN32_TYPES
#define COMPUTECORE_NO_WCHAR
#define COMPUTECORE_NO_HRESULT
#define COMPUTECORE_NO_DWORD
#define COMPUTECORE_NO_UINT64
#define COMPUTECORE_NO_BOOL
#define COMPUTECORE_NO_PWSTR
#define COMPUTECORE_NO_PCWSTR
#define COMPUTECORE_NO_HANDLE
#define COMPUTECORE_NO_HLOCAL
#define COMPUTECORE_NO_SECURITY_DESCRIPTOR
#endif
#if defined(_HRESULT_DEFINED) && !defined(COMPUTECORE_NO_HRESULT)
#define COMPUTECORE_NO_HRESULT
#endif
#ifdef _WINDEF_
#ifndef COMPUTECORE_NO_DWORD
#define COMPUTECORE_NO_DWORD
#endif
#ifndef COMPUTECORE_NO_BOOL
#define COMPUTECORE_NO_BOOL
#endif
#ifndef COMPUTECORE_NO_HLOCAL
#define COMPUTECORE_NO_HLOCAL
#endif
#endif
#ifdef _WINNT_
#ifndef COMPUTECORE_NO_WCHAR
#define COMPUTECORE_NO_WCHAR
#endif
#ifndef COMPUTECORE_NO_PWSTR
#define COMPUTECORE_NO_PWSTR
#endif
#ifndef COMPUTECORE_NO_PCWSTR
#define COMPUTECORE_NO_PCWSTR
#endif
#ifndef COMPUTECORE_NO_HANDLE
#define COMPUTECORE_NO_HANDLE
#endif
#ifndef COMPUTECORE_NO_HRESULT
#define COMPUTECORE_NO_HRESULT
#endif
#ifndef COMPUTECORE_NO_SECURITY_DESCRIPTOR
#define COMPUTECORE_NO_SECURITY_DESCRIPTOR
#endif
#endif
#if (defined(_WINBASE_) || defined(__WINE_WINBASE_H)) && !defined(COMPUTECORE_NO_FREES)
#define COMPUTECORE_NO_FREES
#endif

/* One code unit: wchar_t, for L"...", with HCS_WIDE or -fshort-wchar; otherwise char16_t, for u"...". */
#ifndef COMPUTECORE_NO_WCHAR
#if defined(HCS_WIDE) || (defined(__SIZEOF_WCHAR_T__) && __SIZEOF_WCHAR_T__ == 2)
typedef wchar_t WCHAR;
#else
#ifndef __cplusplus
#include <uchar.h>
#endif
typedef char16_t WCHAR;
#endif
#endif

#ifndef COMPUTECORE_NO_HRESULT
typedef int32_t HRESULT;
#endif
#ifndef COMPUTECORE_NO_DWORD
typedef uint32_t DWORD;
#endif
#ifndef COMPUTECORE_NO_UINT64
typedef uint64_t UINT64;
#endif
#ifndef COMPUTECORE_NO_BOOL
typedef int BOOL;
#endif

/* A NUL-terminated string, to be written and only to be read. */
#ifndef COMPUTECORE_NO_PWSTR
typedef WCHAR *PWSTR;
#endif
#ifndef COMPUTECORE_NO_PCWSTR
typedef const WCHAR *PCWSTR;
#endif

/* On Linux a HANDLE holds a file descriptor, always 3 or more and with close-on-exec set; NULL means "none". To use it:
 * int fd = (int)(intptr_t)handle; its owner closes it with close(2). */
#ifndef COMPUTECORE_NO_HANDLE
typedef void *HANDLE;
#endif
/* Memory that LocalFree releases. */
#ifndef COMPUTECORE_NO_HLOCAL
typedef void *HLOCAL;
#endif

/* Never looked into: every parameter of this type has to be NULL. */
#ifndef COMPUTECORE_NO_SECURITY_DESCRIPTOR
typedef struct _SECURITY_DESCRIPTOR SECURITY_DESCRIPTOR;
#endif

/* The calling conventions of this library: those of Linux, whatever WINAPI and CALLBACK mean in the environment. */
#define HCS_API
#define HCS_CALLBACK_

/* For source that was written for Windows. */
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
#ifndef ERROR_DIR_NOT_EMPTY
#define ERROR_DIR_NOT_EMPTY 145
#endif
#ifndef ERROR_BUSY
#define ERROR_BUSY 170
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

#ifndef COMPUTECORE_NO_FREES
#ifdef __cplusplus
extern "C" {
#endif

/**
 * Releases a string that this library returned. NULL is fine.
 *
 * Thread-safe. CoTaskMemFree does the same, and so does free(3) of the C library (Marshal.FreeHGlobal in .NET): strings
 * are allocated with malloc(3). Each string is released once, by any of them.
 *
 * @return NULL, always. Windows reference: LocalFree (winbase.h).
 */
HLOCAL HCS_API LocalFree(_In_opt_ HLOCAL memory);

/**
 * Releases a string that this library returned. NULL is fine. The same as LocalFree.
 *
 * Windows reference: CoTaskMemFree (combaseapi.h).
 */
void HCS_API CoTaskMemFree(_In_opt_ void *memory);

#ifdef __cplusplus
}
#endif
#endif /* COMPUTECORE_NO_FREES */

#endif /* COMPUTECORE_COMPUTEWIN32_H */
