// The first process of the bench's bare guest. It loads the modules of vsock, dials port 1024 of the host, which is its
// hello, and obeys bytes that come from there:
//
//   e          executes /bin/true, waits for it, and sends back a byte
//   p COUNT    sends COUNT zeros, in pieces of 64 KiB; COUNT has 8 bytes, the lowest first
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#define PORT 1024
#define LAST_MODULE "vmw_vsock_virtio_transport.ko"

static char zeros[1 << 16];

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

static void pour(int stream) {
    uint64_t count = 0;
    if (recv(stream, &count, sizeof count, MSG_WAITALL) != sizeof count)
        return;
    while (count > 0) {
        ssize_t sent = write(stream, zeros, count < sizeof zeros ? count : sizeof zeros);
        if (sent <= 0)
            return;
        count -= sent;
    }
}

int main(void) {
    load_modules();
    int stream = dial();
    char order;
    while (read(stream, &order, 1) == 1) {
        if (order == 'e')
            execute(stream);
        else if (order == 'p')
            pour(stream);
    }
    // The machine is the bench's, which ends it.
    for (;;)
        pause();
}
