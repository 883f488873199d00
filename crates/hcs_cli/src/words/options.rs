//! Options of other tools for what makes containers and commands: `run`, `create`, `exec` and `update`.

use super::Row;

/// `-h` with a word behind it, which prints the help otherwise.
pub(super) const HOST_NAME: Row = (
    &["-h"],
    "the host name is given as `--hostname web`; -h without a word behind it prints the help",
);

/// Each option is answered by what to type here, or by why there is nothing to type.
pub(super) const ROWS: &[Row] = &[
    (
        &["-v", "--volume", "--bind", "--bind-try", "--dev-bind-try"],
        "`--mount ./data:/data` lets a directory appear inside, `--mount ./data:/data:ro` only for reading",
    ),
    (
        &["--ro-bind", "--ro-bind-try"],
        "`--mount ./data:/data:ro` lets a directory appear inside that can only be read",
    ),
    (
        &["-m"],
        "the limit of memory is `--memory 512`, in megabytes, or `--memory 2G`",
    ),
    (
        &[
            "--memory-swap",
            "--memory-swappiness",
            "--memory-reservation",
            "--kernel-memory",
        ],
        "there is one limit of memory, `--memory 512`, in megabytes",
    ),
    (
        &["-c", "--cpu-shares", "--cpu-quota", "--cpu-period"],
        "how many processors it may keep busy is given as `--cpus 0.5`",
    ),
    (
        &["--cpuset-cpus", "--cpuset-mems"],
        "processors are counted, not named: `--cpus 2`; groups of processors are made through the API (CpuGroup)",
    ),
    (
        &["--storage-opt"],
        "`--scratch-size 1G` limits what may be written inside",
    ),
    (
        &["--net", "--unshare-net", "--share-net"],
        "a container of root is in the network nat, and with `--network none` has loopback only; `--network web` puts it into \
         another network, `--net-namespace blue` into a network namespace made by ip netns add blue",
    ),
    (
        &["--expose", "--link"],
        "ports need not be exposed to be published: `-p 8080:80`; `-P` publishes those that the image exposes; containers of one network reach each other by their names: their ids, --hostname and --alias",
    ),
    (
        &["--network-alias"],
        "a further name in its networks is --alias: `--alias db`",
    ),
    (
        &["--mac-address"],
        "the address of the network card is --mac: `--mac 00-15-5D-12-34-56`",
    ),
    (
        &["--privileged"],
        "rights are given one by one: `--cap-add NET_ADMIN`, `--cap-add ALL`, `--allow-new-privileges`; nothing gives all \
         of the host at once",
    ),
    (
        &["--security-opt"],
        "`--allow-new-privileges` lets sudo and the like gain rights, which is off otherwise; the filter of system calls \
         cannot be changed",
    ),
    (
        &["--device-cgroup-rule", "--gpus", "--dev-bind"],
        "a device is given by its node, and with it the right to use it: `--device /dev/dri/renderD128`; programs and files \
         that belong to it by `--mount ./driver:/opt/driver:ro`",
    ),
    (
        &["--restart"],
        "nothing is started again by itself; a systemd unit with Restart= and `hcs run -- server` as its ExecStart= does it",
    ),
    (
        &["--init"],
        "the first process of each container reaps the others already",
    ),
    (
        &["--arch", "--os", "--variant"],
        "the kind of machine of an image is named as one: `hcs run --platform linux/arm64 debian:12 sh`",
    ),
    (
        &[
            "--rootfs",
            "--root",
            "--overlay-src",
            "--overlay",
            "--ro-overlay",
        ],
        "a root file system is given as `--layer ./rootfs`, one of several layers as `--layer ./upper --layer ./rootfs`; what is \
         written above it is kept by `--scratch ./out`",
    ),
    (&["--setenv"], "variables are given as `--env LANG=C`"),
    (
        &["--env-host", "--clearenv", "--unsetenv"],
        "a container has no variable of this environment but those that `--env LANG` names",
    ),
    (
        &["--chdir"],
        "the directory to start in is `--workdir /srv`",
    ),
    (
        &["--uid", "--gid"],
        "the user is given as `--user 1000:1000`",
    ),
    (
        &["--group-add"],
        "the groups are those that the container's own files give the user: `--user www-data`",
    ),
    (
        &[
            "--userns-remap",
            "--uidmap",
            "--gidmap",
            "--subuidname",
            "--unshare-user",
        ],
        "a container has ids that no other user has where its files allow it; `--userns` insists on it",
    ),
    (
        &[
            "--pid",
            "--ipc",
            "--uts",
            "--cgroupns",
            "--unshare-all",
            "--unshare-pid",
            "--unshare-ipc",
            "--unshare-uts",
            "--unshare-cgroup",
            "--proc",
            "--dev",
            "--new-session",
            "--as-pid-1",
        ],
        "every container has namespaces of its own, with /proc, /sys and /dev; they cannot be shared with the host",
    ),
    (
        &["--die-with-parent"],
        "a container is removed with the `hcs run -- make` that made it already",
    ),
    (
        &["--cgroup-parent", "--cgroup-conf"],
        "where the control groups are is set for all containers, as cgroup_root in the service's configuration",
    ),
    (
        &["--annotation", "--label-file"],
        "a note of a container is a label: `--label tier=web`; an owner is named in a document: `hcs create --document system.json`",
    ),
    (
        &["--log-driver", "--log-opt"],
        "the newest output of `hcs run -d -- make` is kept for `hcs logs box`; for anything else send it where you want it: \
         `hcs run -- make > log`",
    ),
    (
        &["--runtime"],
        "there is one runtime; `hcs run --isolation vm -- make` gives the command a Linux kernel of its own",
    ),
    (
        &["--drive", "--hda"],
        "disks of virtual machines are given as `hcs run --isolation vm --disk ./data.qcow2 -- sh`",
    ),
    (
        &["--virtfs", "--fsdev"],
        "directories for virtual machines are given as `hcs run --isolation vm --share .:/work -- sh`",
    ),
    (
        &["--cidfile"],
        "`hcs create` prints the id; `--id box` gives one",
    ),
    (
        &["--stop-timeout"],
        "`hcs shutdown box --timeout 30` waits for so many seconds; `hcs terminate box` kills what has not ended by then",
    ),
    (
        &["--sig-proxy", "--detach-keys"],
        "signals and keys are always passed on, and the second TERM kills the command; `hcs attach --detach-keys ctrl-x,d box` \
         leaves a command of `hcs run -dit -- sh` alone",
    ),
    (
        &["--health-cmd", "--no-healthcheck"],
        "nothing is checked by itself; `hcs exec box -- true` tells by its exit code whether a container runs commands",
    ),
    (&["--replace"], "`hcs terminate box` makes an id free"),
    (
        &["--volumes-from", "--image-volume"],
        "a volume is a directory of the host, which several containers can have: `--mount ./data:/data`",
    ),
    (
        &["--sysctl"],
        "sockets of ICMP (ping) and ports below 1024 are for all users inside already; other settings of the kernel are those of the host, or of \
         a network namespace: `--net-namespace blue`",
    ),
    (
        &["--oom-kill-disable", "--oom-score-adj"],
        "what exceeds `--memory 512` is killed, and `hcs events --follow` tells of it; which process is the kernel's choice",
    ),
    (
        &[
            "--blkio-weight",
            "--device-read-bps",
            "--device-write-bps",
            "--device-read-iops",
            "--device-write-iops",
            "--rdt-class",
        ],
        "input and output are measured (`hcs stats box`), not limited; `--scratch-size 1G` limits what may be written inside",
    ),
    (
        &["--systemd"],
        "an init system is a command like any other: `--tmpfs /run --tmpfs /tmp --layer ./rootfs -- /sbin/init`",
    ),
    (
        &["--tz"],
        "the time zone is a variable: `--env TZ=Europe/Berlin`",
    ),
    (
        &["--umask"],
        "the mask of new files is set by the command: `hcs run -- sh -c 'umask 027; make'`",
    ),
    (
        &["--secret", "--file", "--bind-data", "--ro-bind-data"],
        "a file is shown by `--mount ./token:/run/token:ro`, or copied into a container by `hcs cp ./token box:/run`",
    ),
    (
        &["--dir", "--size", "--perms", "--chmod"],
        "an empty directory in memory is `--tmpfs /work:size=64M,mode=0755`; others are made by the command itself",
    ),
    (
        &["--symlink"],
        "links are made by the command itself: `hcs run -- sh -c 'ln -s usr/lib /lib64; make'`",
    ),
    (
        &["--tmp-overlay"],
        "what is written inside is thrown away, unless `--scratch ./out` keeps it",
    ),
    (
        &["--remount-ro"],
        "`--read-only` lets nothing be written but in a --mount and a --tmpfs",
    ),
    (
        &["--seccomp", "--add-seccomp-fd"],
        "the filter of system calls is the same for all containers, and cannot be changed",
    ),
    (
        &[
            "--lock-file",
            "--sync-fd",
            "--block-fd",
            "--info-fd",
            "--json-status-fd",
            "--preserve-fds",
            "--args",
        ],
        "a command has its three streams and no other descriptor; `hcs wait box` waits for its end, and `hcs inspect box` \
         tells of it as JSON",
    ),
    (
        &["-a", "--attach"],
        "the three streams are connected already, standard input with `-i`; `-d` connects none, and `hcs attach box` does later",
    ),
    (
        &["-q", "--quiet"],
        "progress is shown at a terminal only, on standard error: `hcs run debian:12 true 2> progress`",
    ),
    (
        &["--http-proxy"],
        "a container has no variable of this environment but those that are named: `--env http_proxy --env https_proxy`",
    ),
    (
        &["--tls-verify"],
        "registries without TLS are listed in registries.conf, as for podman and skopeo: `hcs image pull localhost:5000/tools:1`",
    ),
    (
        &["--passwd", "--passwd-entry", "--hostuser", "--group-entry"],
        "users are those of the container's own /etc/passwd, or numbers: `--user 1000:1000`",
    ),
    (
        &["-f", "--force"],
        "`hcs terminate box` ends a system in any state, without a question",
    ),
];
