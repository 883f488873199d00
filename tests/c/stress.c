/* Many threads, many processes: no byte, no exit code and no handle is lost. $HCS_TEST_THREADS, $HCS_TEST_PROCESSES. */
#include "fixture.h"

static HCS_SYSTEM running;
static long processes = 100;

/* One process: copies back what it is sent, then exits. */
static void run_one(long thread, long round)
{
    char sent[512];
    HCS_PROCESS_INFORMATION info;
    char *text;
    int length = snprintf(sent, sizeof sent, "thread %ld, round %ld, ", thread, round);
    memset(sent + length, 'a' + (int)(round % 26), sizeof sent - (size_t)length - 2);
    memcpy(sent + sizeof sent - 2, "\n", 2);
    text = fixture_copy(running, sent, &info);
    CHECK(strcmp(text, sent) == 0);
    free(text);
}

static void run_exit(long code)
{
    char command[64];
    HCS_PROCESS_INFORMATION info;
    HCS_PROCESS process;
    snprintf(command, sizeof command, "\"CommandLine\":\"sh -c 'exit %ld'\"", code);
    process = fixture_process(running, command, 0, &info);
    CHECK(fixture_exit_code(process) == code);
    HcsCloseProcess(process);
}

static PLATFORM_THREAD_RESULT work(void *argument)
{
    long thread = (long)(intptr_t)argument, round;
    for (round = 0; round < processes; round++) {
        if (round % 4 == 3) {
            run_exit((thread * 31 + round) % 256);
        } else {
            run_one(thread, round);
        }
    }
    return 0;
}

static void nothing_is_lost(void)
{
    platform_thread threads[64];
    long count = check_setting("HCS_TEST_THREADS", 8), i;
    long before;
    processes = check_setting("HCS_TEST_PROCESSES", 100);
    REQUIRE(count > 0 && count <= 64);
    run_one(99, 0);
    before = platform_open_handles();
    for (i = 0; i < count; i++) {
        REQUIRE(platform_thread_start(&threads[i], work, (void *)(intptr_t)i));
    }
    for (i = 0; i < count; i++) {
        platform_thread_join(threads[i]);
    }
    CHECK(platform_open_handles() == before);
}

int main(void)
{
    running = fixture_system();
    RUN(nothing_is_lost);
    fixture_end(running);
    return EXIT_STATUS;
}
