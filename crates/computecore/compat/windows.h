/*
 * windows.h - the part of the Windows header of this name that clients of HCS use, and nothing else.
 *
 * Optional: this folder is found only by programs that ask for it, as
 * cc -I"$(pkg-config --variable=compatdir computecore)". The types and codes of the API itself are in ComputeWin32.h.
 */
#ifndef COMPUTECORE_COMPAT_WINDOWS_H
#define COMPUTECORE_COMPAT_WINDOWS_H

#include <ComputeWin32.h>
#include <unistd.h>

#include "winerror.h"

typedef unsigned char BYTE;
typedef uint16_t WORD;
typedef uint32_t ULONG;
typedef int32_t LONG;
typedef unsigned int UINT;
typedef int INT;
typedef uint32_t UINT32;
typedef uint16_t UINT16;
typedef uint8_t UINT8;
typedef int64_t INT64;
typedef int64_t LONGLONG;
typedef uint64_t ULONGLONG;
typedef uint64_t ULONG64;
typedef uintptr_t ULONG_PTR;
typedef uintptr_t UINT_PTR;
typedef intptr_t LONG_PTR;
typedef size_t SIZE_T;
typedef unsigned char BOOLEAN;
typedef char CHAR;
typedef void *PVOID;
typedef void *LPVOID;
typedef const void *LPCVOID;
typedef HANDLE *PHANDLE;
typedef DWORD *PDWORD;
typedef DWORD *LPDWORD;
typedef char *PSTR;
typedef char *LPSTR;
typedef const char *PCSTR;
typedef const char *LPCSTR;
typedef WCHAR *LPWSTR;
typedef const WCHAR *LPCWSTR;
typedef SECURITY_DESCRIPTOR *PSECURITY_DESCRIPTOR;

#ifndef VOID
#define VOID void
#endif
#ifndef CONST
#define CONST const
#endif

#ifndef GUID_DEFINED
#define GUID_DEFINED
typedef struct _GUID
{
    uint32_t Data1;
    uint16_t Data2;
    uint16_t Data3;
    uint8_t Data4[8];
} GUID;
#endif

#ifndef INVALID_HANDLE_VALUE
#define INVALID_HANDLE_VALUE ((HANDLE)(intptr_t)-1)
#endif
#ifndef MAX_PATH
#define MAX_PATH 260
#endif
#ifndef UNREFERENCED_PARAMETER
#define UNREFERENCED_PARAMETER(it) ((void)(it))
#endif
#ifndef ARRAYSIZE
#define ARRAYSIZE(it) (sizeof(it) / sizeof((it)[0]))
#endif
#ifndef APIENTRY
#define APIENTRY WINAPI
#endif
#ifndef STDAPICALLTYPE
#define STDAPICALLTYPE WINAPI
#endif

/* Annotations beyond those of ComputeWin32.h. */
#ifndef _Inout_
#define _Inout_
#endif
#ifndef _Inout_opt_
#define _Inout_opt_
#endif
#ifndef _In_z_
#define _In_z_
#endif
#ifndef _In_reads_
#define _In_reads_(size)
#endif
#ifndef _In_reads_bytes_
#define _In_reads_bytes_(size)
#endif
#ifndef _Out_writes_
#define _Out_writes_(size)
#endif
#ifndef _Out_writes_bytes_
#define _Out_writes_bytes_(size)
#endif
#ifndef _Outptr_result_maybenull_
#define _Outptr_result_maybenull_
#endif
#ifndef _Outptr_result_z_
#define _Outptr_result_z_
#endif
#ifndef _Ret_maybenull_
#define _Ret_maybenull_
#endif
#ifndef _Check_return_
#define _Check_return_
#endif
#ifndef _Must_inspect_result_
#define _Must_inspect_result_
#endif
#ifndef _Success_
#define _Success_(expression)
#endif
#ifndef _Use_decl_annotations_
#define _Use_decl_annotations_
#endif

/** Closes one of the stream handles of HCS_PROCESS_INFORMATION, which are file descriptors. */
static inline BOOL CloseHandle(HANDLE handle) { return close((int)(intptr_t)handle) == 0; }

#endif /* COMPUTECORE_COMPAT_WINDOWS_H */
