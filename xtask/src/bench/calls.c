/*
 * calls.c - what reading the result of a completed operation costs a C program: time, and allocations.
 *
 * Arguments: container id, process id, number of calls. Prints for HcsGetOperationResultAndProcessInfo of a completed
 * HcsGetProcessInfo, and for HcsGetOperationResult of a completed HcsGetComputeSystemProperties, one line each:
 * nanoseconds, allocations and returned documents, all of them for one call.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <ComputeCore.h>

/* glibc's own allocator behind the standard names, so that those can be counted here. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

/* Of this thread only: the library's own threads may do as they like. */
static _Thread_local uint64_t allocations;

void *malloc(size_t size)
{
    allocations++;
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    allocations++;
    return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    allocations++;
    return __libc_realloc(old, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
    allocations++;
    *memory = __libc_memalign(alignment, size);
    return *memory == NULL;
}

void *aligned_alloc(size_t alignment, size_t size)
{
    allocations++;
    return __libc_memalign(alignment, size);
}

static double now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static void check(const char *what, HRESULT result)
{
    if (FAILED(result)) {
        fprintf(stderr, "%s failed with 0x%08x\n", what, (unsigned)result);
        exit(1);
    }
}

static HRESULT with_process_info(HCS_OPERATION operation, PWSTR *document)
{
    HCS_PROCESS_INFORMATION information;
    return HcsGetOperationResultAndProcessInfo(operation, &information, document);
}

static HRESULT alone(HCS_OPERATION operation, PWSTR *document)
{
    return HcsGetOperationResult(operation, document);
}

static void measure(const char *what, HRESULT (*read)(HCS_OPERATION, PWSTR *), HCS_OPERATION operation, long calls)
{
    uint64_t before = allocations, documents = 0;
    double begin = now_ns(), time;
    for (long call = 0; call < calls; call++) {
        PWSTR document = NULL;
        check(what, read(operation, &document));
        documents += document != NULL;
        LocalFree(document);
    }
    time = now_ns() - begin;
    printf("%.2f %.3f %.3f\n", time / (double)calls, (double)(allocations - before) / (double)calls,
           (double)documents / (double)calls);
}

int main(int count, char **arguments)
{
    WCHAR id[128] = {0};
    HCS_SYSTEM system = NULL;
    HCS_PROCESS process = NULL;
    HCS_OPERATION operation;
    long calls;
    if (count != 4) {
        fprintf(stderr, "usage: calls CONTAINER PROCESS CALLS\n");
        return 2;
    }
    for (size_t at = 0; at < 127 && arguments[1][at] != 0; at++) {
        id[at] = (WCHAR)arguments[1][at];
    }
    calls = atol(arguments[3]);
    operation = HcsCreateOperation(NULL, NULL);
    check("HcsOpenComputeSystem", HcsOpenComputeSystem(id, GENERIC_ALL, &system));
    check("HcsOpenProcess", HcsOpenProcess(system, (DWORD)atol(arguments[2]), GENERIC_ALL, &process));

    check("HcsGetProcessInfo", HcsGetProcessInfo(process, operation));
    check("its result", HcsWaitForOperationResult(operation, INFINITE, NULL));
    measure("HcsGetOperationResultAndProcessInfo", with_process_info, operation, calls);

    check("HcsGetComputeSystemProperties", HcsGetComputeSystemProperties(system, operation, NULL));
    check("its result", HcsWaitForOperationResult(operation, INFINITE, NULL));
    measure("HcsGetOperationResult", alone, operation, calls);

    HcsCloseProcess(process);
    HcsCloseComputeSystem(system);
    HcsCloseOperation(operation);
    return 0;
}
