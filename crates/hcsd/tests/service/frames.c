/* A program of a guest that sends frames as they are: "frames LINK HEX..." sends each by that link. */
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/if_packet.h>

int main(int count, char **words)
{
    struct sockaddr_ll to = { .sll_family = AF_PACKET };
    unsigned char frame[2048];
    int at, link = socket(AF_PACKET, SOCK_RAW, 0);

    if (count < 3 || link < 0) {
        perror("socket");
        return 1;
    }
    to.sll_ifindex = if_nametoindex(words[1]);
    for (at = 2; at < count; at++) {
        size_t length = strlen(words[at]) / 2, byte;
        for (byte = 0; byte < length && byte < sizeof frame; byte++)
            sscanf(words[at] + 2 * byte, "%2hhx", &frame[byte]);
        if (sendto(link, frame, length, 0, (struct sockaddr *)&to, sizeof to) != (ssize_t)length) {
            perror("sendto");
            return 1;
        }
    }
    return 0;
}
