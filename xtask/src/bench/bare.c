// The first process of the bench's bare guest. It loads the modules of vsock, dials port 1024 of the host, which is its
// hello, and obeys bytes that come from there:
//
//   e          executes /bin/true, waits for it, and sends back a byte
//   p COUNT    sends COUNT zeros, in pieces of 64 KiB; COUNT has 8 bytes, the lowest first
//   P COUNT    the same, but they come from dd, by a pipe of 256 KiB that this process reads
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#define PORT 1024
#define LAST_MODULE "vmw_vsock_virtio_transport.ko"

#define PIECE (1 << 16)
#define PIPE (1 << 18)

static char zeros[PIECE], buffer[PIPE];

static void load_modules(void) {
    FILE *order = fopen("/modules/order", "r");
    char name[256], path[300];
    while (order && fgets(name, sizeof name, order)) {
        name[strcspn(name, "\n")] = 0;
        snprintf(path, sizeof path, "/modules/%s", name);
        int file = open(path, O_RDONLY | O_CLOEXEC);
        syscall(SYS_finit_module, file, "", 0);
        close(file);
        if (!strcmp(name, LAST_MODULE))
            break;
    }
    if (order)
        fclose(order);
}

static int dial(void) {
    struct sockaddr_vm host = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = PORT};
    for (;;) {
        int stream = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (stream >= 0 && !connect(stream, (struct sockaddr *)&host, sizeof host))
            return stream;
        close(stream);
        usleep(1000);
    }
}

static void execute(int stream) {
    char *arguments[] = {"/bin/true", NULL}, done = 1;
    char *environment[] = {NULL};
    pid_t child = vfork();
    if (!child) {
        execve(arguments[0], arguments, environment);
        _exit(127);
    }
    int status = 1;
    waitpid(child, &status, 0);
    // A program that could not be executed is no answer: the host waits, and says so.
    if (!status)
        write(stream, &done, 1);
}

static int write_all(int to, const char *bytes, size_t size) {
    while (size > 0) {
        ssize_t written = write(to, bytes, size);
        if (written <= 0)
            return -1;
        bytes += written;
        size -= written;
    }
    return 0;
}

static void pour(int stream, uint64_t count) {
    while (count > 0) {
        size_t piece = count < PIECE ? count : PIECE;
        if (write_all(stream, zeros, piece))
            return;
        count -= piece;
    }
}

static void execute_dd(int out, uint64_t count) {
    char pieces[40];
    snprintf(pieces, sizeof pieces, "count=%llu", (unsigned long long)count / PIECE);
    char *arguments[] = {"/bin/dd", "if=/dev/zero", "bs=64k", pieces, "status=none", NULL};
    char *environment[] = {NULL};
    dup2(out, 1);
    execve(arguments[0], arguments, environment);
    _exit(127);
}

static void pour_by_pipe(int stream, uint64_t count) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC))
        return;
    fcntl(ends[1], F_SETPIPE_SZ, PIPE);
    pid_t child = fork();
    if (!child)
        execute_dd(ends[1], count);
    close(ends[1]);
    ssize_t size;
    while ((size = read(ends[0], buffer, sizeof buffer)) > 0)
        if (write_all(stream, buffer, size))
            break;
    close(ends[0]);
    waitpid(child, NULL, 0);
}

int main(void) {
    load_modules();
    mkdir("/dev", 0755);
    mknod("/dev/zero", S_IFCHR | 0666, makedev(1, 5));
    int stream = dial();
    char order;
    while (read(stream, &order, 1) == 1) {
        uint64_t count = 0;
        if (order == 'e')
            execute(stream);
        else if (recv(stream, &count, sizeof count, MSG_WAITALL) != sizeof count)
            break;
        else if (order == 'p')
            pour(stream, count);
        else if (order == 'P')
            pour_by_pipe(stream, count);
    }
    // The machine is the bench's, which ends it.
    for (;;)
        pause();
}
