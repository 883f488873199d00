/*
 * The functions that the Windows library exports and no header declares. Programs look them up by name; here they are
 * there and answer E_NOTIMPL, whatever they are given. Not to be called on Windows, where their parameters are unknown.
 */
#include "check.h"

HRESULT WINAPI HcsStartSystemPreservation(void);
HRESULT WINAPI HcsAbortSystemPreservation(void);
HRESULT WINAPI HcsFinalizeSystemPreservation(void);
HRESULT WINAPI HcsSystemControl(void);
HRESULT WINAPI HcsEnumerateVmWorkerProcesses(void);
HRESULT WINAPI HcsFindVmWorkerProcesses(void);
HRESULT WINAPI HcsGetWorkerProcessJob(void);
HRESULT WINAPI HcsStartVmWorkerProcess(void);

static void they_answer_that_they_are_not_there(void)
{
    CONFORMS_HR("HcsStartSystemPreservation/E_NOTIMPL", HcsStartSystemPreservation(), E_NOTIMPL);
    CONFORMS_HR("HcsAbortSystemPreservation/E_NOTIMPL", HcsAbortSystemPreservation(), E_NOTIMPL);
    CONFORMS_HR("HcsFinalizeSystemPreservation/E_NOTIMPL", HcsFinalizeSystemPreservation(), E_NOTIMPL);
    CONFORMS_HR("HcsSystemControl/E_NOTIMPL", HcsSystemControl(), E_NOTIMPL);
    CONFORMS_HR("HcsEnumerateVmWorkerProcesses/E_NOTIMPL", HcsEnumerateVmWorkerProcesses(), E_NOTIMPL);
    CONFORMS_HR("HcsFindVmWorkerProcesses/E_NOTIMPL", HcsFindVmWorkerProcesses(), E_NOTIMPL);
    CONFORMS_HR("HcsGetWorkerProcessJob/E_NOTIMPL", HcsGetWorkerProcessJob(), E_NOTIMPL);
    CONFORMS_HR("HcsStartVmWorkerProcess/E_NOTIMPL", HcsStartVmWorkerProcess(), E_NOTIMPL);
}

int main(void)
{
    RUN(they_answer_that_they_are_not_there);
    return EXIT_STATUS;
}
