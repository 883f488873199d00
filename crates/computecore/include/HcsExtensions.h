/*
 * HcsExtensions.h - the functions of this implementation beyond the Host Compute Service API of Windows.
 *
 * Programs that are to compile on Windows too include it behind an #ifdef __linux__. General rules: see ComputeCore.h.
 */
#ifndef COMPUTECORE_HCSEXTENSIONS_H
#define COMPUTECORE_HCSEXTENSIONS_H

#include "ComputeDefs.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Limits how long calls tracked by an operation may take: the pending one from now on, and each that it tracks later
 * from its start on. A call that is not done by then ends with HCS_E_OPERATION_TIMEOUT and a ResultError, and is undone
 * as by HcsCancelOperation. The service ends such calls; where the service itself does not answer, the library ends the
 * call a second later. A wait that runs into its own limit returns HCS_E_OPERATION_TIMEOUT
 * without a document, and then the call goes on.
 *
 * @param timeoutMs Milliseconds. INFINITE takes the limit away from later calls; that of a pending one stays.
 * @return S_OK; E_INVALIDARG, E_HANDLE; E_OUTOFMEMORY when no thread could be started.
 */
HRESULT HCS_API HcsSetOperationDeadline(_In_ HCS_OPERATION operation, _In_ DWORD timeoutMs);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* COMPUTECORE_HCSEXTENSIONS_H */
