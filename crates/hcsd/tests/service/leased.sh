#!/bin/sh
# What a client of DHCP runs when something happens to its address.
if [ "$1" = renew ]; then
    echo "renewed $ip/$mask, for $lease s"
    exit
fi
[ "$1" = bound ] || exit 0
busybox ip addr add $ip/$mask dev $interface
busybox ip route add default via $router
echo "leased $ip/$mask, router $router, for $lease s"
: > /leased
