/* callbacks.c - what a program is told of what happens to networks, whichever program brings it about. */
#include "check.h"
#include <pthread.h>
#include <semaphore.h>
#include <sys/wait.h>
#include <unistd.h>

#define INVALID 0x80070057u
#define NO_HANDLE 0x80070006u
#define MOST 64

static const GUID NETWORK = {0x4f1a6c52, 0x93d0, 0x4b7e, {0x8a, 0x15, 0x2d, 0x7c, 0x9e, 0x60, 0xb3, 0xa1}};
static const GUID ENDPOINT = {0x5f1a6c52, 0x93d0, 0x4b7e, {0x8a, 0x15, 0x2d, 0x7c, 0x9e, 0x60, 0xb3, 0xa2}};
static const GUID NAMESPACE = {0x6f1a6c52, 0x93d0, 0x4b7e, {0x8a, 0x15, 0x2d, 0x7c, 0x9e, 0x60, 0xb3, 0xa3}};
static const GUID INNER = {0x7f1a6c52, 0x93d0, 0x4b7e, {0x8a, 0x15, 0x2d, 0x7c, 0x9e, 0x60, 0xb3, 0xa4}};
static PCWSTR const SECOND = u"{\"SchemaVersion\":{\"Major\":2,\"Minor\":0}}";
static PCWSTR const PRIVATE = u"{\"SchemaVersion\":{\"Major\":2,\"Minor\":0},\"Name\":\"c\",\"Type\":\"Private\"}";

/* What a callback was told. */
struct heard
{
    pthread_mutex_t lock;
    pthread_cond_t grown;
    int count;
    DWORD types[MOST];
    char data[MOST][256];
};

static void HCS_CALLBACK_ told(DWORD type, void *context, HRESULT status, HCN_PCWSTR data)
{
    struct heard *heard = context;
    CHECK(status == S_OK && data != NULL);
    pthread_mutex_lock(&heard->lock);
    CHECK(heard->count < MOST);
    size_t at = 0;
    for (; data[at] != 0 && at < sizeof heard->data[0] - 1; at++)
        heard->data[heard->count][at] = (char)data[at];
    heard->data[heard->count][at] = 0;
    heard->types[heard->count++] = type;
    pthread_cond_signal(&heard->grown);
    pthread_mutex_unlock(&heard->lock);
}

/* Waits until so much was told in all. */
static void await(struct heard *heard, int count)
{
    pthread_mutex_lock(&heard->lock);
    while (heard->count < count)
        pthread_cond_wait(&heard->grown, &heard->lock);
    pthread_mutex_unlock(&heard->lock);
}

/* What another program does. */
static int other_program(void)
{
    HCN_NETWORK network;
    HCN_ENDPOINT endpoint;
    HCN_NAMESPACE space;
    ANSWERS(S_OK, HcnCreateNetwork(&NETWORK, PRIVATE, &network, &record));
    ANSWERS(S_OK, HcnCreateEndpoint(network, &ENDPOINT, SECOND, &endpoint, &record));
    ANSWERS(S_OK, HcnCreateNamespace(&NAMESPACE, SECOND, &space, &record));
    ANSWERS(S_OK, HcnModifyNamespace(space,
                                     u"{\"ResourceType\":\"Endpoint\",\"RequestType\":\"Add\",\"Settings\":"
                                     u"{\"EndpointId\":\"5f1a6c52-93d0-4b7e-8a15-2d7c9e60b3a2\"}}",
                                     &record));
    ANSWERS(S_OK, HcnDeleteEndpoint(&ENDPOINT, &record));
    ANSWERS(S_OK, HcnDeleteNamespace(&NAMESPACE, &record));
    /* What is refused is not told. */
    ANSWERS(0x803B0010u, HcnCreateNetwork(&NETWORK, PRIVATE, &network, &record));
    ANSWERS(S_OK, HcnDeleteNetwork(&NETWORK, &record));
    return 0;
}

static void hears_of_another_program(const char *self)
{
    static struct heard heard = {.lock = PTHREAD_MUTEX_INITIALIZER, .grown = PTHREAD_COND_INITIALIZER};
    static const DWORD expected[] = {
        HcnNotificationNetworkPreCreate,   HcnNotificationNetworkCreate,          HcnNotificationNamespaceCreate,
        HcnNotificationNetworkEndpointAttached, HcnNotificationNetworkEndpointDetached, HcnNotificationNamespaceDelete,
        HcnNotificationNetworkPreDelete,   HcnNotificationNetworkDelete,
    };
    HCN_CALLBACK callback;
    CONFORMS("HcnRegisterServiceCallback/S_OK",
             HcnRegisterServiceCallback(told, &heard, &callback) == S_OK && callback != NULL);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        execl(self, self, "other", (char *)NULL);
        _exit(2);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    await(&heard, 8);
    CONFORMS("HcnRegisterServiceCallback/order", !memcmp(heard.types, expected, sizeof expected));
    CONFORMS("HcnRegisterServiceCallback/data", !strcmp(heard.data[1], "{\"Data\":\"\",\"Flags\":0,\"ID\":\"4F1A6C52-93D0-4B7E-8A15-2D7C9E60B3A1\"}"));
    CHECK(strstr(heard.data[3], "\"ID\":\"5F1A6C52-93D0-4B7E-8A15-2D7C9E60B3A2\""));
    CHECK(strstr(heard.data[3], "NamespaceID") && strstr(heard.data[3], "6F1A6C52-93D0-4B7E-8A15-2D7C9E60B3A3"));
    CONFORMS("HcnUnregisterServiceCallback/S_OK", HcnUnregisterServiceCallback(callback) == S_OK);
    CONFORMS("HcnUnregisterServiceCallback/E_HANDLE", HcnUnregisterServiceCallback(callback) == (HRESULT)NO_HANDLE);
    /* Nothing is told any more. */
    HCN_NAMESPACE space;
    ANSWERS(S_OK, HcnCreateNamespace(&NAMESPACE, SECOND, &space, &record));
    ANSWERS(S_OK, HcnDeleteNamespace(&NAMESPACE, &record));
    CONFORMS("HcnUnregisterServiceCallback/silence", heard.count == 8);
}

/* A callback that makes calls, brings about what it is told of, and ends itself. */
static HCN_CALLBACK itself;
static sem_t ended;
static int depth;

static void HCS_CALLBACK_ calls_back(DWORD type, void *context, HRESULT status, HCN_PCWSTR data)
{
    HCN_NAMESPACE space;
    PWSTR text;
    (void)status, (void)data;
    CHECK(context == &depth);
    switch (depth++) {
    case 0:
        CHECK(type == HcnNotificationNamespaceCreate);
        ANSWERS(S_OK, HcnCreateNamespace(&INNER, SECOND, &space, &record));
        ANSWERS(S_OK, HcnEnumerateNamespaces(NULL, &text, &record));
        CHECK(strstr(taken(text), "7F1A6C52"));
        break;
    case 1:
        CHECK(type == HcnNotificationNamespaceCreate);
        CHECK(HcnUnregisterServiceCallback(itself) == S_OK);
        ANSWERS(S_OK, HcnDeleteNamespace(&INNER, &record));
        CHECK(sem_post(&ended) == 0);
        break;
    default:
        CHECK(!"it was unregistered");
    }
}

static void a_callback_may_call_everything(void)
{
    HCN_NAMESPACE space;
    CHECK(sem_init(&ended, 0, 0) == 0);
    CHECK(HcnRegisterServiceCallback(calls_back, &depth, &itself) == S_OK);
    ANSWERS(S_OK, HcnCreateNamespace(&NAMESPACE, SECOND, &space, &record));
    while (sem_wait(&ended) != 0)
        ;
    CHECK(HcnUnregisterServiceCallback(itself) == (HRESULT)NO_HANDLE);
    ANSWERS(S_OK, HcnDeleteNamespace(&NAMESPACE, &record));
    CONFORMS("HcnUnregisterServiceCallback/within a callback", depth == 2);
}

/* A callback that runs when it is unregistered is waited for. */
static sem_t within, goes_on;
static int has_returned;

static void HCS_CALLBACK_ takes_its_time(DWORD type, void *context, HRESULT status, HCN_PCWSTR data)
{
    (void)type, (void)context, (void)status, (void)data;
    /* The deletion may be told as well, before the callback is unregistered. */
    if (__atomic_load_n(&has_returned, __ATOMIC_SEQ_CST)) return;
    CHECK(sem_post(&within) == 0);
    while (sem_wait(&goes_on) != 0)
        ;
    __atomic_store_n(&has_returned, 1, __ATOMIC_SEQ_CST);
}

static void *lets_it_go_on(void *unused)
{
    (void)unused;
    CHECK(sem_post(&goes_on) == 0);
    return NULL;
}

static void its_end_is_waited_for(void)
{
    static struct heard heard = {.lock = PTHREAD_MUTEX_INITIALIZER, .grown = PTHREAD_COND_INITIALIZER};
    HCN_CALLBACK slow, other;
    HCN_NAMESPACE space;
    pthread_t thread;
    CHECK(sem_init(&within, 0, 0) == 0 && sem_init(&goes_on, 0, 0) == 0);
    CHECK(HcnRegisterServiceCallback(takes_its_time, NULL, &slow) == S_OK);
    CHECK(HcnRegisterServiceCallback(told, &heard, &other) == S_OK);
    ANSWERS(S_OK, HcnCreateNamespace(&NAMESPACE, SECOND, &space, &record));
    while (sem_wait(&within) != 0)
        ;
    /* It delays neither another callback nor a call. */
    ANSWERS(S_OK, HcnDeleteNamespace(&NAMESPACE, &record));
    await(&heard, 2);
    CONFORMS("HcnRegisterServiceCallback/independent", heard.count == 2);
    CHECK(pthread_create(&thread, NULL, lets_it_go_on, NULL) == 0);
    CHECK(HcnUnregisterServiceCallback(slow) == S_OK);
    CONFORMS("HcnUnregisterServiceCallback/waits", __atomic_load_n(&has_returned, __ATOMIC_SEQ_CST) == 1);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(HcnUnregisterServiceCallback(other) == S_OK);
}

/* A child of fork has no thread that would call back, and may give its copy of the handle up. */
static void a_child_gives_its_copy_up(void)
{
    static struct heard heard = {.lock = PTHREAD_MUTEX_INITIALIZER, .grown = PTHREAD_COND_INITIALIZER};
    HCN_CALLBACK callback;
    HCN_NAMESPACE space;
    int status;
    CHECK(HcnRegisterServiceCallback(told, &heard, &callback) == S_OK);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        _exit(HcnUnregisterServiceCallback(callback) == S_OK ? 0 : 1);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    ANSWERS(S_OK, HcnCreateNamespace(&NAMESPACE, SECOND, &space, &record));
    ANSWERS(S_OK, HcnDeleteNamespace(&NAMESPACE, &record));
    await(&heard, 2);
    CHECK(HcnUnregisterServiceCallback(callback) == S_OK);
}

int main(int count, char **arguments)
{
    HCN_CALLBACK callback = &callback;
    if (count > 1)
        return other_program();
    CONFORMS("HcnRegisterServiceCallback/E_INVALIDARG",
             HcnRegisterServiceCallback(NULL, NULL, &callback) == (HRESULT)INVALID && callback == NULL);
    CHECK(HcnRegisterServiceCallback(told, NULL, NULL) == (HRESULT)INVALID);
    CONFORMS("HcnUnregisterServiceCallback/E_INVALIDARG", HcnUnregisterServiceCallback(NULL) == (HRESULT)INVALID);
    hears_of_another_program(arguments[0]);
    a_callback_may_call_everything();
    its_end_is_waited_for();
    a_child_gives_its_copy_up();
    return 0;
}
