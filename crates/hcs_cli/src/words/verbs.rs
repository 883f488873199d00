//! Verbs of other tools.

use super::Row;

/// The same behind `hcs image`.
pub(super) const IMAGE_ROWS: &[Row] = &[
    (
        &["delete", "destroy", "untag"],
        "`hcs image remove debian:12` removes the name of an image, and with its last name the image",
    ),
    (
        &["show", "info"],
        "`hcs image inspect debian:12` shows what an image says of itself, `hcs image list` all images",
    ),
    (
        &["push", "login", "logout", "search"],
        "`hcs image pull debian:12` gets images of registries, with the credentials that docker, podman and skopeo keep; all else \
         of registries is left to them: `hcs image save --output debian.tar debian:12` writes what they push",
    ),
    (
        &["build"],
        "images are built by other tools, buildah for example, and loaded by `hcs image load debian.tar`; `hcs commit box \
         tools:2` makes one of a container that keeps what it writes",
    ),
];

/// Each verb is answered by what to type here, or by why there is nothing to type.
pub(super) const ROWS: &[Row] = &[
    (
        &["kill"],
        "`hcs terminate box` kills everything in a system and removes it; `hcs signal box 12 KILL` kills one process",
    ),
    (
        &["stop"],
        "`hcs shutdown box` asks everything in a system to end and removes it; `hcs terminate box` does not ask",
    ),
    (
        &["rm", "remove", "delete", "destroy"],
        "`hcs terminate box` ends a system and removes it; `hcs terminate --all` all of them",
    ),
    (
        &["restart"],
        "a system that has ended is gone: `hcs terminate box`, then `hcs create --id box` and `hcs start box`",
    ),
    (
        &["enter", "shell", "bash", "sh"],
        "`hcs exec -it box -- sh` runs a shell beside the commands of a container; `hcs attach box` attaches to the command of \
         `hcs run -dit -- sh`",
    ),
    (
        &["copy"],
        "`hcs cp box:/etc/hosts .` copies files out of a container, `hcs cp ./site box:/srv` into it",
    ),
    (
        &["build", "buildx"],
        "images are built by other tools, and loaded: `hcs image load image.tar`; or `hcs run --layer ./rootfs --scratch \
         ./out -- make install` keeps in out/upper what is written, and `hcs run --layer ./out/upper --layer ./rootfs -- \
         sh` uses it",
    ),
    (&["images"], "`hcs image list` lists images"),
    (
        &["rmi"],
        "`hcs image remove debian:12` removes the name of an image, and with its last name the image",
    ),
    (
        &["tag", "untag", "save", "load", "import", "history"],
        "what is done with images stands after image: `hcs image load debian.tar`, `hcs image save debian:12`, `hcs image \
         import rootfs.tar tools`, `hcs image tag debian:12 base`, `hcs image history debian:12`",
    ),
    (
        &[
            "pull", "push", "login", "logout", "search", "manifest", "registry",
        ],
        "`hcs image pull debian:12` gets images of registries, with the credentials that docker, podman and skopeo keep; all else \
         of registries is left to them",
    ),
    (
        &["diff"],
        "what is written inside is kept where --scratch says, below upper/: `hcs run --scratch ./out -- make`; `hcs commit box \
         tools:1` makes an image of it",
    ),
    (
        &["export"],
        "`hcs cp box:/ -` writes an archive of the files to standard output",
    ),
    (
        &["net"],
        "`hcs network list` lists networks, and a container is put into one: `hcs run --network nat -- server`",
    ),
    (
        &["volume", "volumes", "mount", "umount", "unmount"],
        "a volume is a directory of the host: `hcs run --mount ./data:/data -- make`",
    ),
    (
        &["compose", "stack", "swarm", "kube", "play", "pod"],
        "hcs knows single containers only; what belongs together is started by a script, and ended by `hcs terminate box \
         other`",
    ),
    (
        &["prune", "clean", "cleanup"],
        "a system that has ended leaves nothing behind: `hcs list` prints what there is, `hcs terminate --all` ends it",
    ),
    (
        &["system", "df"],
        "`hcs service` tells of the service, `hcs list` of its systems",
    ),
    (
        &["container", "containers"],
        "verbs stand alone: `hcs list`, `hcs run -- make`, `hcs terminate box`",
    ),
    (
        &["rename"],
        "a system keeps its id, which is given when it is made: `hcs create --id box`",
    ),
    (
        &["status", "state", "show"],
        "`hcs inspect box` tells all of a system, `hcs list` the state of each",
    ),
    (
        &["healthcheck"],
        "nothing is checked by itself; `hcs exec box -- true` tells by its exit code whether a container runs commands",
    ),
    (
        &["machine", "vm"],
        "containers run on this machine's own kernel; `hcs run --isolation vm -- make` gives a command a kernel of its own",
    ),
    (
        &["context", "plugin", "farm", "connection", "node"],
        "clients are programs on the same machine as the service; HCS_ENDPOINT names its socket, and `hcs service` tells of it",
    ),
    (
        &["init"],
        "a container needs no preparation: `hcs run -- make`, or `hcs create --id box` and `hcs start box`",
    ),
    (
        &["secret", "config"],
        "a file is shown by `hcs run --mount ./token:/run/token:ro -- make`, or copied into a container by `hcs cp ./token box:/run`",
    ),
    (
        &["spec"],
        "`hcs validate system.json` checks a ComputeSystem document, `hcs create --document system.json` uses it",
    ),
    (
        &["checkpoint", "restore", "save-state"],
        "the state of a system cannot be kept in a file; `hcs pause box` and `hcs resume box` hold it for a while",
    ),
    (
        &["reload"],
        "`hcs service reload` has the service read its configuration again",
    ),
    (
        &["daemon", "serve"],
        "the first call starts the service, which exits when idle; `hcs service` tells of it",
    ),
];
