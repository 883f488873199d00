/* A program of a guest that speaks to its host by vsock: "talk listen PORT" accepts one connection, hears all of it and
 * answers then; "talk dial PORT TEXT" says TEXT, ends its direction, and writes what it hears. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

static int failed(const char *what)
{
    perror(what);
    return 1;
}

int main(int count, char **words)
{
    struct sockaddr_vm address = { .svm_family = AF_VSOCK };
    int stream = socket(AF_VSOCK, SOCK_STREAM, 0);
    char heard[4096];
    size_t length = 0;
    ssize_t read_now;

    if (count < 3 || stream < 0)
        return failed("socket");
    address.svm_port = strtoul(words[2], NULL, 0);
    if (strcmp(words[1], "listen") == 0) {
        address.svm_cid = VMADDR_CID_ANY;
        if (bind(stream, (struct sockaddr *)&address, sizeof address) != 0 || listen(stream, 8) != 0)
            return failed("listen");
        stream = accept(stream, NULL, NULL);
        if (stream < 0)
            return failed("accept");
    } else {
        address.svm_cid = VMADDR_CID_HOST;
        if (connect(stream, (struct sockaddr *)&address, sizeof address) != 0)
            return failed("connect");
        if (write(stream, words[3], strlen(words[3])) < 0 || shutdown(stream, SHUT_WR) != 0)
            return failed("write");
    }
    while (length < sizeof heard - 1 && (read_now = read(stream, heard + length, sizeof heard - 1 - length)) > 0)
        length += read_now;
    heard[length] = '\0';
    if (strcmp(words[1], "listen") == 0)
        dprintf(stream, "heard %s", heard);
    else
        printf("%s", heard);
    return 0;
}
