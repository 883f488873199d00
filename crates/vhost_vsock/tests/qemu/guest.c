// The program of the guest in the tests: pid 1 of an initial ramdisk.
//
// It loads the modules that /modules lists, listens at some ports, and connects to port 1024 of the host, from where it
// takes commands, one a line, and answers each by a line:
//
//   dial PORT          connects to the host and closes at once: "dialled 0", or the errno
//   echo PORT          connects and echoes until the end, in the background: "dialled 0", or the errno
//   send PORT COUNT    connects, sends COUNT bytes of the pattern, ends its direction, and reads to the end:
//                      "sent COUNT, got COUNT SUM"; with SIZE behind it, from a socket with a buffer of that size
//   go                 lets port 5003 read: "gone"
//
//   5000  echoes until the end, then closes
//   5001  reads a count in decimal and a newline, sends so many bytes of the pattern, then closes
//   5002  reads to the end, then answers "COUNT SUM" and closes
//   5003  as 5002, but reads nothing until "go"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#define HOST 2
#define CONTROL 1024

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int may_read;

static void say(const char *what, const char *name) {
    fprintf(stderr, "guest: %s %s: %s\n", what, name, strerror(errno));
}

static void load_modules(void) {
    FILE *list = fopen("/modules", "r");
    char name[256];
    while (list && fgets(name, sizeof name, list)) {
        name[strcspn(name, "\n")] = 0;
        int file = open(name, O_RDONLY | O_CLOEXEC);
        if (file < 0 || syscall(SYS_finit_module, file, "", 0))
            say("cannot load", name);
        close(file);
    }
    if (list)
        fclose(list);
}

// Byte at a place of the pattern.
static unsigned char pattern(uint64_t place) { return (unsigned char)(place * 31 + (place >> 8) * 7 + (place >> 16)); }

static uint64_t sum_of(uint64_t sum, const unsigned char *bytes, ssize_t count) {
    for (ssize_t i = 0; i < count; i++)
        sum = (sum ^ bytes[i]) * 1099511628211u;
    return sum;
}

static int write_all(int to, const unsigned char *bytes, ssize_t count) {
    for (ssize_t done = 0; done < count;) {
        ssize_t written = write(to, bytes + done, count - done);
        if (written <= 0)
            return -1;
        done += written;
    }
    return 0;
}

static void echo(int stream) {
    static const size_t size = 1 << 16;
    unsigned char *bytes = malloc(size);
    ssize_t count;
    while ((count = read(stream, bytes, size)) > 0 && !write_all(stream, bytes, count))
        ;
    free(bytes);
}

static int send_pattern(int stream, uint64_t count) {
    unsigned char bytes[1 << 15];
    for (uint64_t place = 0; place < count;) {
        ssize_t piece = count - place < sizeof bytes ? count - place : sizeof bytes;
        for (ssize_t i = 0; i < piece; i++)
            bytes[i] = pattern(place + i);
        if (write_all(stream, bytes, piece))
            return -1;
        place += piece;
    }
    return 0;
}

static uint64_t read_all(int stream, uint64_t *sum) {
    unsigned char bytes[1 << 15];
    uint64_t total = 0;
    ssize_t count;
    *sum = 14695981039346656037u;
    while ((count = read(stream, bytes, sizeof bytes)) > 0) {
        total += count;
        *sum = sum_of(*sum, bytes, count);
    }
    return total;
}

static uint64_t read_number(int stream) {
    uint64_t number = 0;
    char digit;
    while (read(stream, &digit, 1) == 1 && digit != '\n')
        number = number * 10 + (digit - '0');
    return number;
}

struct work {
    int stream;
    unsigned port;
};

static void *serve(void *argument) {
    struct work work = *(struct work *)argument;
    free(argument);
    uint64_t total, sum;
    switch (work.port) {
    case 5001:
        send_pattern(work.stream, read_number(work.stream));
        break;
    case 5003:
        pthread_mutex_lock(&lock);
        while (!may_read)
            pthread_cond_wait(&changed, &lock);
        pthread_mutex_unlock(&lock);
        // fall through
    case 5002:
        total = read_all(work.stream, &sum);
        dprintf(work.stream, "%llu %llu", (unsigned long long)total, (unsigned long long)sum);
        break;
    default:
        echo(work.stream);
    }
    close(work.stream);
    return NULL;
}

static void serve_apart(int stream, unsigned port) {
    struct work *work = malloc(sizeof *work);
    *work = (struct work){.stream = stream, .port = port};
    pthread_attr_t small;
    pthread_t thread;
    pthread_attr_init(&small);
    pthread_attr_setdetachstate(&small, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&small, 1 << 17);
    if (pthread_create(&thread, &small, serve, work))
        say("cannot start", "a thread");
}

static int bound(unsigned port) {
    struct sockaddr_vm at = {.svm_family = AF_VSOCK, .svm_port = port, .svm_cid = VMADDR_CID_ANY};
    int listener = socket(AF_VSOCK, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 128))
        say("cannot listen", "at a port");
    return listener;
}

static void *listen_at(void *argument) {
    struct work work = *(struct work *)argument;
    for (;;) {
        int stream = accept(work.stream, NULL, NULL);
        if (stream >= 0)
            serve_apart(stream, work.port);
    }
    return NULL;
}

// With a buffer of another size than the usual one, where it is not 0.
static int dial_with(unsigned port, uint64_t size) {
    struct sockaddr_vm to = {.svm_family = AF_VSOCK, .svm_port = port, .svm_cid = HOST};
    int stream = socket(AF_VSOCK, SOCK_STREAM, 0);
    if (size && setsockopt(stream, AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, &size, sizeof size))
        say("cannot set", "the size of a buffer");
    if (stream >= 0 && connect(stream, (struct sockaddr *)&to, sizeof to) == 0)
        return stream;
    int reason = errno;
    close(stream);
    errno = reason;
    return -1;
}

static int dial(unsigned port) { return dial_with(port, 0); }

static void obey(int control, char *line) {
    unsigned port;
    unsigned long long count, size = 0;
    if (sscanf(line, "send %u %llu %llu", &port, &count, &size) >= 2) {
        int stream = dial_with(port, size);
        int failed = send_pattern(stream, count);
        uint64_t got, sum;
        shutdown(stream, SHUT_WR);
        got = read_all(stream, &sum);
        close(stream);
        dprintf(control, "sent %llu, got %llu %llu\n", failed ? 0 : count, (unsigned long long)got,
                (unsigned long long)sum);
    } else if (sscanf(line, "dial %u", &port) == 1) {
        int stream = dial(port);
        dprintf(control, "dialled %d\n", stream < 0 ? errno : 0);
        close(stream);
    } else if (sscanf(line, "echo %u", &port) == 1) {
        int stream = dial(port);
        dprintf(control, "dialled %d\n", stream < 0 ? errno : 0);
        if (stream >= 0)
            serve_apart(stream, 5000);
    } else if (!strcmp(line, "go")) {
        pthread_mutex_lock(&lock);
        may_read = 1;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&lock);
        dprintf(control, "gone\n");
    } else {
        dprintf(control, "unknown command\n");
    }
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    load_modules();
    static struct work listeners[4];
    for (unsigned i = 0; i < 4; i++) {
        pthread_t thread;
        listeners[i] = (struct work){.stream = bound(5000 + i), .port = 5000 + i};
        pthread_create(&thread, NULL, listen_at, &listeners[i]);
    }
    for (;;) {
        // The device of the machine may come up later, and may come again.
        int control = dial(CONTROL);
        if (control < 0) {
            usleep(5000);
            continue;
        }
        dprintf(control, "hello\n");
        FILE *commands = fdopen(control, "r");
        char line[256];
        while (fgets(line, sizeof line, commands)) {
            line[strcspn(line, "\n")] = 0;
            obey(control, line);
        }
        fclose(commands);
    }
}
