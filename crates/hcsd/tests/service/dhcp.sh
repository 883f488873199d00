#!/bin/sh
# The first program of a guest without an agent: takes its address by DHCP, says it on the console, and answers at a port.
for kind in proc sysfs devtmpfs; do
    busybox mkdir -p /$kind
    busybox mount -t $kind $kind /$kind
done
exec > /devtmpfs/ttyS0 2>&1
while read module; do
    busybox insmod /modules/$module
done < /modules/order
# A hot plugged card comes when the kernel has found it.
until [ -e /sysfs/class/net/eth0 ]; do
    busybox usleep 20000
done
busybox ip link set eth0 up
busybox udhcpc -i eth0 -f -q -t 60 -T 1 -s /bin/leased
while :; do
    echo here | busybox nc -l -p 80
done
