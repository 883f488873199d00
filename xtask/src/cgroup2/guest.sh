#!/bin/sh
# What the guest runs after switch_root: each check prints "PASS name" or "FAIL name: why"; the end is "DONE".
export PATH=/bin:/usr/sbin HOME=/root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts
mount -t devpts devpts /dev/pts
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t securityfs securityfs /sys/kernel/security
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
insmod /overlay.ko
# The kernel has no bridges, and no check is about networks.
mkdir -p /etc/hcs
echo 'default_network = "none"' >/etc/hcs/hcsd.toml

# is NAME EXPECTED FOUND
is() {
    if [ "$2" = "$3" ]; then echo "PASS $1"; else echo "FAIL $1: expected \"$2\", found \"$3\""; fi
}

# A service that cannot load the profile for AppArmor. With this capability nothing but the profile is in the way.
write='umount /proc/sys; echo 1 >/proc/sys/kernel/sysrq; echo 1 >/proc/sys/vm/drop_caches; echo 5 >/proc/sys/kernel/shmmni'
mkdir /run/bare
mv /usr/sbin/apparmor_parser /parser
export HCS_ENDPOINT=/run/bare/hcs.sock
is "without its parser AppArmor is not used, which is said" 1 \
    "$(hcs service Capabilities 2>&1 | grep -c '"Reason": ".*Install the package apparmor')"
is "and the kernel's values can be changed" changed \
    "$(hcs run --cap-add SYS_ADMIN -- sh -c "set -e; $write; echo changed" 2>&1)"
unset HCS_ENDPOINT
mv /parser /usr/sbin/apparmor_parser

is "a process in a container" "hello" "$(hcs run -- echo hello 2>&1)"
profile=$(hcs service Capabilities 2>&1 | sed -n 's/.*"Profile": "\(hcs-[^"]*\)".*/\1/p')
is "it runs in the AppArmor profile that the service names" "$profile (enforce)" \
    "$(hcs run -- cat /proc/self/attr/current 2>&1)"
is "the agent does, too" "$profile (enforce)" "$(hcs run -- cat /proc/1/attr/current 2>&1)"
is "and root of a user namespace" "$profile (enforce)" "$(hcs run --userns -- cat /proc/self/attr/current 2>&1)"
is "so do others" "$profile (enforce)" "$(hcs run -u 1000 -- cat /proc/self/attr/current 2>&1)"
is "with CAP_SYS_ADMIN it may mount" "mounted" \
    "$(hcs run --cap-add SYS_ADMIN -- sh -c 'mkdir /m && mount -t tmpfs none /m && echo mounted' 2>&1)"
is "but not change the kernel's values" 2 \
    "$(hcs run --cap-add SYS_ADMIN -- sh -c "$write" 2>&1 | grep -c 'Permission denied')"
is "it leaves its profile for no other" "Permission denied" \
    "$(hcs run -- sh -c 'echo changeprofile unconfined >/proc/self/attr/current' 2>&1 | sed 's/.*: //')"
is "signals within" 143 "$(hcs run -- sh -c 'sleep 100 & kill $!; wait $!; echo $?' 2>/dev/null)"
hcs run -- sh -c 'exit 42'
is "its exit code" 42 $?
is "the container's own view of its group" "0::/" "$(hcs run -- cat /proc/self/cgroup 2>&1)"

# Any of the service's ranges: containers that are kept ready have some.
is "root of a user namespace, with a limit" "0 1 33554432" "$(hcs run --userns --memory 32 -- sh -c '
    set -- $(cat /proc/self/uid_map)
    echo $(id -u) $(($2 >= 1879048192 && $2 % 65536 == 0)) $(cat /sys/fs/cgroup/memory.max)' 2>&1)"

is "create with limits" "lim" "$(hcs create --id lim --memory 32 --cpus 0.5 2>&1)"
hcs start lim
# Groups of containers that are kept ready stand beside its own, so it is found by a process of it.
hcs exec lim -- sleep 12345 &
tries=0
until marker=$(pidof sleep) || [ $tries -ge 30 ]; do
    sleep 1
    tries=$((tries + 1))
done
group=/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$marker/cgroup")
is "memory.max" 33554432 "$(cat "$group/memory.max")"
is "memory.swap.max" 0 "$(cat "$group/memory.swap.max")"
is "cpu.max" "50000 100000" "$(cat "$group/cpu.max")"
is "pids.max" 4096 "$(cat "$group/pids.max")"
said=$(hcs exec lim -- dd if=/dev/zero of=/dev/null bs=100M count=1 2>&1)
is "more memory than allowed is death by SIGKILL" 137 $?
is "which is said" "hcs: killed: out of memory (limit 32 MB)" "$said"
is "and stands in the event log" 1 "$(hcs events --system lim 2>&1 | grep -c "exit code 137, out of memory (limit 32 MB)")"
hcs exec lim -- dd if=/dev/zero of=/dev/shm/used bs=1M count=16 2>/dev/null
said=$(hcs update --memory 8 lim 2>&1)
is "a limit below what is used is refused" 125 $?
is "with what is used" 1 "$(echo "$said" | grep -c 'the container uses [0-9]* bytes')"
is "the limit stays" 33554432 "$(cat "$group/memory.max")"
is "no other one is left" max "$(cat "$group/memory.high")"
is "and no process was ended for it" 1 "$(sed -n 's/^oom_kill //p' "$group/memory.events")"
is "a limit above what is used" 25165824 "$(hcs update --memory 24 lim 2>&1)$(cat "$group/memory.max")"
hcs exec lim -- rm /dev/shm/used
is "which makes room for a lower limit" 8388608 "$(hcs update --memory 8 lim 2>&1)$(cat "$group/memory.max")"
hcs pause lim
is "pause" 1 "$(cat "$group/cgroup.freeze")"
hcs resume lim
is "resume" alive "$(hcs exec lim -- echo alive 2>&1)"
is "other devices" 1 "$(hcs exec lim -- sh -c 'mknod /k c 1 1 2>/dev/null && cat /k >/dev/null 2>&1; echo $?' 2>&1)"
hcs terminate lim
# What a container leaves is removed behind the back of the client.
tries=0
while [ -d "$group" ] && [ $tries -lt 30 ]; do
    sleep 1
    tries=$((tries + 1))
done
[ -d "$group" ]
is "terminate removes the group" 1 $?
# The service leaves by itself some seconds after its last client and system.
tries=0
while [ -d /sys/fs/cgroup/hcs ] && [ $tries -lt 30 ]; do
    sleep 1
    tries=$((tries + 1))
done
[ -d /sys/fs/cgroup/hcs ]
is "the service leaves nothing" 1 $?

# The clock is that of this guest alone.
# jump NAME SECONDS: nothing that lives ends by it, or is taken for another; figures and limits do not follow the clock.
jump() {
    hcs exec timed -- sh -c 'sleep 3; echo on time' >/tmp/said 2>&1 &
    waiting=$!
    date -s "@$(($(date +%s) + $2))" >/dev/null
    wait $waiting
    is "$1: a process that was there goes on to its end" "0 on time" "$? $(cat /tmp/said)"
    is "$1: a process" alive "$(hcs exec timed -- echo alive 2>&1)"
    is "$1: a container" new "$(hcs run -- echo new 2>&1)"
    for process in /proc/[0-9]*; do
        [ "$(cat "$process/comm" 2>/dev/null)" = hcsd ] && kill -9 "${process#/proc/}"
    done
    is "$1: the next service takes over what lives" alive "$(hcs exec timed -- echo alive 2>&1)"
    is "$1: with the process that was there" 1 "$(hcs exec timed -- pidof sleep 2>&1 | wc -w)"
    uptime=$(hcs inspect timed 2>&1 | sed -n 's/.*"Uptime100ns": \([0-9]*\).*/\1/p')
    is "$1: it lives for less than an hour" 1 "$((${uptime:-0} > 0 && ${uptime:-0} < 36000000000))"
}
export HCS_ENDPOINT=/run/clock/hcs.sock
hcs create --id timed >/dev/null
hcs start timed
hcs exec timed -- sleep 12345 &
until [ "$(hcs exec timed -- pidof sleep 2>/dev/null)" ]; do sleep 1; done
jump "ten years ahead" 315360000
jump "twenty years back" -630720000
jump "as it was" 315360000
hcs terminate timed

# A group of processors that an earlier service left, so that the next one makes it again.
state=/run/groups/hcs.d
id=0ad8b3c2-91e6-4ed2-9bf2-6f47f2b1a3c4
mkdir -p "$state"
echo "{\"$id\":[1]}" >"$state/cpu_groups.json"
export HCS_ENDPOINT=/run/groups/hcs.sock
echo "{\"Container\":{\"Processor\":{\"CpuGroup\":{\"Id\":\"$id\"}}}}" >/tmp/grouped.json
is "a group of processors of an earlier service" 1 "$(hcs service CpuGroup 2>&1 | grep -c "$id")"
is "create in a group of processors" "grouped" "$(hcs create --id grouped --document /tmp/grouped.json 2>&1)"
hcs start grouped
is "it runs on the processors of its group" 1 "$(hcs exec grouped -- \
    sh -c 'sed -n "s/^Cpus_allowed_list:[^0-9]*//p" /proc/self/status' 2>&1)"
is "others run on all" 0-1 "$(hcs run -- sh -c 'sed -n "s/^Cpus_allowed_list:[^0-9]*//p" /proc/self/status' 2>&1)"
hcs terminate grouped
is "a later service finds the profile loaded" "$profile (enforce)" "$(hcs run -- cat /proc/self/attr/current 2>&1)"
echo "profile $profile {} profile $profile-mounts {}" | apparmor_parser --remove
is "without its profile no container is made" 1 "$(hcs run -- true 2>&1 | grep -c 'entering the AppArmor profile.*No such file')"
echo DONE
poweroff -f
