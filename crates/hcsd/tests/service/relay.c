/* The first process of a guest whose agent is a test on the host. It loads the modules of its image, dials the port
 * 6000 and obeys. For each line with a port it dials that port, as Microsoft's agent does from no port in particular,
 * and the port 6001. There it says whether it could, and passes bytes between the two. The line "off" powers the guest
 * off. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

enum { ORDERS = 6000, STREAMS = 6001 };

static void load_modules(void)
{
    char name[256], path[300];
    FILE *order = fopen("/modules/order", "r");

    while (order != NULL && fgets(name, sizeof name, order) != NULL) {
        int file;
        name[strcspn(name, "\n")] = '\0';
        snprintf(path, sizeof path, "/modules/%s", name);
        file = open(path, O_RDONLY | O_CLOEXEC);
        if (file < 0 || syscall(SYS_finit_module, file, "", 0) != 0)
            perror(path);
        if (file >= 0)
            close(file);
    }
}

static int dial(unsigned port)
{
    struct sockaddr_vm address = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = port };
    int stream = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (stream >= 0 && connect(stream, (struct sockaddr *)&address, sizeof address) != 0) {
        close(stream);
        return -1;
    }
    return stream;
}

/* In a process of its own: all that comes from one to the other, with the end of it. */
static void pass(int from, int to)
{
    char bytes[4096];
    ssize_t count;

    if (fork() != 0)
        return;
    while ((count = read(from, bytes, sizeof bytes)) > 0) {
        ssize_t written = 0, now;
        while (written < count && (now = write(to, bytes + written, count - written)) > 0)
            written += now;
        if (written < count)
            break;
    }
    shutdown(to, SHUT_WR);
    _exit(0);
}

static void connect_to(unsigned port)
{
    int stream = dial(port), host = dial(STREAMS);

    if (dprintf(host, stream < 0 ? "no\n" : "yes\n") < 0)
        perror("the test");
    if (stream >= 0) {
        pass(stream, host);
        pass(host, stream);
        close(stream);
    }
    close(host);
}

int main(void)
{
    char line[64];
    FILE *orders;

    signal(SIGCHLD, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    load_modules();
    orders = fdopen(dial(ORDERS), "r");
    while (orders != NULL && fgets(line, sizeof line, orders) != NULL && strcmp(line, "off\n") != 0)
        connect_to(strtoul(line, NULL, 10));
    return reboot(RB_POWER_OFF);
}
