/* Dials a port of the host by vsock, as any program of a guest may: dial PORT [OWN]. Says what became of it, and keeps
 * a connection until its standard input ends. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

static int said(const char *what, int result)
{
    if (result != 0)
        printf("%s: %s\n", what, strerror(errno));
    fflush(stdout);
    return result;
}

int main(int count, char **words)
{
    struct sockaddr_vm address = { .svm_family = AF_VSOCK };
    int stream = socket(AF_VSOCK, SOCK_STREAM, 0);
    char byte;

    if (said("socket", stream < 0) != 0)
        return 1;
    if (count > 2) {
        address.svm_cid = VMADDR_CID_ANY;
        address.svm_port = strtoul(words[2], NULL, 0);
        if (said("bind", bind(stream, (struct sockaddr *)&address, sizeof address)) != 0)
            return 1;
    }
    address.svm_cid = VMADDR_CID_HOST;
    address.svm_port = strtoul(words[1], NULL, 0);
    if (said("connect", connect(stream, (struct sockaddr *)&address, sizeof address)) != 0)
        return 1;
    puts("connected");
    fflush(stdout);
    while (read(0, &byte, 1) > 0)
        continue;
    return 0;
}
