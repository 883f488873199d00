#!/bin/sh
# The first program of a guest without an agent: takes its address by DHCP and renews it, says both on the console, and
# answers at a port.
for kind in proc sysfs devtmpfs; do
    busybox mkdir -p /$kind
    busybox mount -t $kind $kind /$kind
done
exec > /devtmpfs/ttyS0 2>&1
# What runs in the background reads from there.
busybox ln -s /devtmpfs/null /dev/null
while read module; do
    busybox insmod /modules/$module
done < /modules/order
# A hot plugged card comes when the kernel has found it.
until [ -e /sysfs/class/net/eth0 ]; do
    busybox usleep 20000
done
busybox ip link set eth0 up
busybox udhcpc -i eth0 -f -t 60 -T 1 -s /bin/leased &
client=$!
until [ -e /leased ]; do
    busybox usleep 20000
done
# What the client does after half of the time, by a question to its server alone.
kill -USR1 $client
while :; do
    echo here | busybox nc -l -p 80
done
