//! Options of other tools, and verbs, behind verbs that make no container.

use super::Row;

/// The verbs that rows are about, with their aliases, and the rows. A verb that has verbs of its own is named together
/// with one of them.
pub(super) type Table = (&'static [&'static str], &'static [Row]);

/// What is answered to options.
pub(super) const OPTIONS: &[Table] = &[
    (
        &["list", "ls", "enumerate"],
        &[(
            &[
                "-f",
                "--filter",
                "-l",
                "--latest",
                "-n",
                "--last",
                "-s",
                "--size",
                "--no-trunc",
                "--sort",
                "--ns",
            ],
            "`hcs list --json` prints all that is known of each system, for jq and the like; `hcs list -q` prints the ids that are one plain word",
        )],
    ),
    (
        &["ps", "top"],
        &[(
            &[
                "-f",
                "--filter",
                "-l",
                "--latest",
                "-n",
                "--last",
                "-q",
                "--quiet",
                "-s",
                "--size",
                "--no-trunc",
            ],
            "`hcs ps --json` prints all that is known of each process; systems are listed by `hcs list`, their ids by `hcs list -q`",
        )],
    ),
    (
        &["inspect"],
        &[(
            &[
                "-f", "--format", "-s", "--size", "-t", "--type", "-l", "--latest",
            ],
            "there are no templates: `hcs inspect box` prints one JSON document, for jq and the like",
        )],
    ),
    (
        &["stats"],
        &[(
            &[
                "--no-trunc",
                "--no-reset",
                "-i",
                "--interval",
                "-l",
                "--latest",
            ],
            "figures are printed once, as a table or by `hcs stats --json`; watch(1) prints them again and again",
        )],
    ),
    (
        &["logs"],
        &[
            (
                &["--until"],
                "what is kept is printed to its end: `hcs logs --timestamps box` tells when each line was written",
            ),
            (
                &["--details", "--names", "-l", "--latest", "--color"],
                "lines are printed as they were written: `hcs logs --timestamps box` puts the time before each",
            ),
        ],
    ),
    (
        &["attach"],
        &[(
            &["--sig-proxy", "-l", "--latest"],
            "signals and keys are passed on; `hcs attach --detach-keys ctrl-x,d box` leaves the command alone",
        )],
    ),
    (
        &["start"],
        &[(
            &["-a", "--attach", "-i", "--interactive", "-l", "--latest"],
            "a system is started without a command: `hcs start box`, then `hcs exec -it box -- sh`",
        )],
    ),
    (
        &["pause", "resume", "unpause"],
        &[(
            &["-a", "--all", "-l", "--latest", "--filter"],
            "systems are named: `hcs pause box other`, `hcs resume box other`",
        )],
    ),
    (
        &["terminate", "shutdown"],
        &[
            (
                &[
                    "-f",
                    "--force",
                    "-v",
                    "--volumes",
                    "-i",
                    "--ignore",
                    "-l",
                    "--latest",
                ],
                "`hcs terminate box` ends a system in any state, without a question",
            ),
            (
                &["-t", "--time", "-s", "--signal"],
                "`hcs shutdown box --timeout 30` asks everything in a system to end, by its stop signal, and `hcs terminate box` does not \
                 ask; `hcs signal box 12 INT` sends any signal to one process",
            ),
        ],
    ),
    (
        &["signal"],
        &[(
            &[
                "-s", "--signal", "-n", "-1", "-2", "-3", "-9", "-15", "-H", "-I", "-K", "-T",
            ],
            "the signal stands last, behind the process: `hcs signal box 12 HUP`",
        )],
    ),
    (
        &["wait"],
        &[(
            &["--condition", "-i", "--interval", "-l", "--latest"],
            "`hcs wait box` waits for the end: of the command of `hcs run -d -- make`, else of the system",
        )],
    ),
    (
        &["events"],
        &[
            (
                &["--filter"],
                "`hcs events --system box` prints what happened to one system, `hcs events --json` all that is known of it, for jq \
                 and the like",
            ),
            (
                &["--until", "--stream", "--no-trunc"],
                "what has happened is printed, and `hcs events --follow` waits for more",
            ),
        ],
    ),
    (
        &["cp"],
        &[
            (
                &["-p", "--preserve"],
                "modes and times are kept, and with `hcs cp -a box:/srv .` the owners",
            ),
            (
                &["-q", "--quiet", "--pause", "--overwrite", "-f", "--force"],
                "files of the same name are replaced, and nothing is said of that: `hcs cp ./site box:/srv`",
            ),
        ],
    ),
    (
        &["commit"],
        &[(
            &[
                "-m",
                "--message",
                "-a",
                "--author",
                "-c",
                "--change",
                "-p",
                "--pause",
                "-q",
                "--quiet",
                "-f",
                "--format",
                "-s",
                "--squash",
            ],
            "`hcs commit box tools:1` makes an image of what a container has written, with the configuration of its image; `hcs \
             pause box` keeps it from writing meanwhile",
        )],
    ),
    (
        &["network create"],
        &[
            (
                &["-d", "--driver", "--internal"],
                "what a network reaches is its type: `hcs network create --type internal web`",
            ),
            (
                &[
                    "--gateway",
                    "--ip-range",
                    "--ipv6",
                    "--label",
                    "-o",
                    "--opt",
                    "--attachable",
                    "--aux-address",
                    "--ipam-driver",
                    "--ipam-opt",
                    "--disable-dns",
                    "--dns",
                    "--route",
                ],
                "a network has a type and one subnet of IPv4: `hcs network create --type nat --subnet 10.20.0.0/24 web`",
            ),
        ],
    ),
    (
        &["network remove", "network rm"],
        &[(
            &["-f", "--force", "-t", "--time"],
            "`hcs network remove web` removes a network that no system is in; `hcs list` shows the systems",
        )],
    ),
    (
        &["network list", "network ls", "network inspect"],
        &[(
            &["-q", "--quiet", "-f", "--filter", "--no-trunc"],
            "`hcs network list --json` prints all that is known of each network, for jq and the like",
        )],
    ),
    (
        &["image list", "image ls", "image history"],
        &[(
            &[
                "-a",
                "--all",
                "-f",
                "--filter",
                "--no-trunc",
                "--digests",
                "--sort",
                "-n",
            ],
            "`hcs image list --json` prints all that is known of each image, for jq and the like; `hcs image list -q` prints the \
             names alone",
        )],
    ),
    (
        &["image inspect"],
        &[(
            &["-f", "--format", "-t", "--type"],
            "there are no templates: `hcs image inspect debian:12` prints one JSON document, for jq and the like",
        )],
    ),
    (
        &["image remove", "image rm", "image prune"],
        &[(
            &["-f", "--force", "-a", "--all", "-i", "--ignore", "--filter"],
            "`hcs image remove debian:12` removes an image that no container uses, `hcs image prune` all that no name leads to; \
             `hcs list` shows which containers use which",
        )],
    ),
    (
        &["image pull"],
        &[
            (
                &["--arch", "--os", "--variant"],
                "the kind of machine of an image is named as one: `hcs image pull --platform linux/arm64 debian:12`",
            ),
            (
                &["--creds", "--authfile", "-u", "--username"],
                "`hcs image pull debian:12` uses the credentials that docker, podman and skopeo keep",
            ),
            (
                &["--tls-verify", "--cert-dir"],
                "a registry without TLS is one of `hcs image pull --insecure localhost:5000/tools:1`, or listed in registries.conf",
            ),
        ],
    ),
    (
        &["image load"],
        &[(
            &["-i", "--input"],
            "the archive stands alone: `hcs image load debian.tar`",
        )],
    ),
];

/// What is answered to verbs behind `hcs network`.
pub(super) const OF_NETWORKS: &[Row] = &[
    (
        &["delete", "destroy"],
        "`hcs network remove web` removes a network that no system is in",
    ),
    (
        &["add", "new", "make"],
        "`hcs network create web` makes a network",
    ),
    (
        &["attach", "join"],
        "`hcs network connect web box` puts a container that runs into a network",
    ),
    (
        &["detach", "leave"],
        "`hcs network disconnect web box` takes a container that runs out of a network",
    ),
    (
        &["prune"],
        "networks are removed by their names: `hcs network list` shows how many endpoints each has, `hcs network remove web` \
         removes one that has none",
    ),
    (
        &["show", "info", "exists"],
        "`hcs network inspect web` shows the document of a network, `hcs network list` all networks",
    ),
    (
        &["update", "reload"],
        "a network stays as it was made: `hcs network remove web`, then `hcs network create web`",
    ),
];
