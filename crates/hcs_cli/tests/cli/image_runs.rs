//! `hcs run IMAGE` and `hcs create --image`: containers of images, and what the configurations of images say.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{Ended, ended, hcs, ready, shell, unique};

/// A place with a store that has the image `tools:latest`: a busybox, with a user and a directory of that user's.
pub(crate) struct Shop {
    place: TempDir,
}

/// Makes the root file system of the image.
const ROOT: &str = "mkdir -p root/bin root/etc root/srv/app root/tmp && cp /bin/busybox root/bin && \
                    for name in sh cat ls id pwd env echo touch sleep stat hostname; do ln -s busybox root/bin/$name; done && \
                    echo 'root:x:0:0::/:/bin/sh' > root/etc/passwd && echo 'app:x:7:8::/srv/app:/bin/sh' >> root/etc/passwd && \
                    echo 'app:x:8:' > root/etc/group && echo image > root/srv/app/file && chown -R 7:8 root/srv/app";

impl Shop {
    pub(crate) fn new() -> Self {
        let shop = Self {
            place: tempfile::tempdir().unwrap(),
        };
        shop.script(&format!(
            "{ROOT} && tar -C root -c . | $HCS image import --store store - tools"
        ));
        shop
    }

    pub(crate) fn path(&self) -> &Path {
        self.place.path()
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.path().join("store")
    }

    pub(crate) fn script(&self, script: &str) -> String {
        ended(shell(script).current_dir(self.path())).fine()
    }

    /// Runs `hcs` with these words, parted at spaces, where the store is `./store`.
    pub(crate) fn hcs(&self, words: &str) -> Ended {
        self.line(&words.split_whitespace().collect::<Vec<_>>())
    }

    pub(crate) fn line(&self, words: &[&str]) -> Ended {
        ended(hcs(words).current_dir(self.path()))
    }

    /// Runs the image `name` with `options` and a shell script.
    fn shell(&self, options: &str, name: &str, script: &str) -> Ended {
        let options: Vec<&str> = options.split_whitespace().collect();
        let words = [
            &["run", "--store", "store"][..],
            &options,
            &[name, "sh", "-c", script],
        ];
        self.line(&words.concat())
    }

    /// Loads the image of the same layers, called `name`, whose configuration says this of its program.
    pub(crate) fn configured(&self, name: &str, execution: &Value) -> Ended {
        self.changed(name, |config| config["config"] = execution.clone())
    }

    /// The same with any change of the configuration.
    pub(crate) fn changed(&self, name: &str, change: impl FnOnce(&mut Value)) -> Ended {
        let folder = self.path().join("unpacked");
        self.script(
            "rm -rf unpacked && mkdir unpacked && $HCS image save --store store --format docker tools | tar -C unpacked -x",
        );
        let read =
            |path: PathBuf| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
        let mut manifest = read(folder.join("manifest.json"));
        let mut config = read(folder.join(manifest[0]["Config"].as_str().unwrap()));
        change(&mut config);
        manifest[0]["Config"] = "own.json".into();
        fs::write(folder.join("own.json"), config.to_string()).unwrap();
        fs::write(folder.join("manifest.json"), manifest.to_string()).unwrap();
        self.hcs(&format!("image load --store store --name {name} unpacked"))
    }
}

#[test]
fn an_image_runs_as_its_configuration_says() {
    let shop = Shop::new();
    let execution = json!({
        "User": "app", "WorkingDir": "srv/app", "Env": ["A=of the image", "B=b", "PATH=/bin"],
        "Entrypoint": ["sh", "-c", "echo $0 $* $A $B; pwd; id; cat file"], "Cmd": ["one", "two"],
        "Labels": {"org.example": "yes"}, "StopSignal": "SIGINT",
    });
    shop.configured("app", &execution).fine();
    let said = shop.hcs("run --store store app").fine();
    let expected = "one two of the image b\n/srv/app\nuid=7(app) gid=8(app)\nimage\n";
    assert_eq!(said, expected);
    let said = shop.hcs("run --store store app three").fine();
    assert!(said.starts_with("three of the image b\n"), "{said}");
    let said = shop.hcs("run --store store --image app -- three").fine();
    assert!(said.starts_with("three of the image b\n"), "{said}");
    // What is typed comes first.
    fs::write(
        shop.path().join("variables"),
        "# all\nA=file\nB=file\nC=file\n",
    )
    .unwrap();
    let options = "run --store store --entrypoint env --env-file variables -e B=line -u 0 -w / app";
    let mut said: Vec<String> = shop
        .hcs(options)
        .fine()
        .lines()
        .map(str::to_owned)
        .collect();
    said.retain(|line| {
        ["A=", "B=", "C=", "PATH="]
            .iter()
            .any(|name| line.starts_with(name))
    });
    said.sort();
    assert_eq!(said, ["A=file", "B=line", "C=file", "PATH=/bin"]);
    let said = shop.line(&[
        "run",
        "--store",
        "store",
        "--entrypoint",
        "",
        "-u",
        "0",
        "app",
        "id",
        "-u",
    ]);
    assert_eq!(said.fine(), "0\n");
}

#[test]
fn later_commands_get_what_the_image_says_too() {
    let shop = Shop::new();
    let execution = json!({"User": "7", "WorkingDir": "/srv/app", "Env": ["A=image"]});
    shop.configured("app", &execution).fine();
    let id = unique("image");
    let created = shop
        .hcs(&format!("create --image app --store store --id {id}"))
        .fine();
    assert_eq!(created, format!("{id}\n"));
    shop.hcs(&format!("start {id}")).fine();
    let script = "id -u; pwd; echo $A $B";
    let exec = |options: &[&str]| {
        shop.line(&[&["exec"], options, &[&*id, "--", "sh", "-c", script]].concat())
    };
    assert_eq!(exec(&[]).fine(), "7\n/srv/app\nimage\n");
    let own = ["-u", "0", "-w", "/", "-e", "A=own", "-e", "B=b"];
    assert_eq!(exec(&own).fine(), "0\n/\nown b\n");
    // Programs of the agent's run as they do without.
    fs::write(shop.path().join("letter"), "text").unwrap();
    shop.hcs(&format!("cp letter {id}:/letter")).fine();
    let stat = shop.line(&["exec", &id, "--", "stat", "-c", "%u", "/letter"]);
    assert_eq!(stat.fine(), "0\n");
    shop.hcs(&format!("terminate {id}")).fine();
}

#[test]
fn a_shutdown_sends_the_stop_signal_of_the_image_or_of_the_line() {
    let shop = Shop::new();
    shop.configured("plain", &json!({})).fine();
    shop.configured("app", &json!({"StopSignal": "SIGINT"}))
        .fine();
    shop.configured("odd", &json!({"StopSignal": "SIGNOT"}))
        .fine();
    let script = "trap 'exit 2' INT; trap 'exit 15' TERM; trap 'exit 10' USR1; echo ready; while :; do sleep 1; done";
    let store = shop.store();
    for (image, options, code) in [
        ("plain", &[][..], 15),
        ("app", &[], 2),
        ("app", &["--stop-signal", "usr1"], 10),
    ] {
        let id = unique("stop");
        let mut command = hcs(["run", "--id", &id, "--store"]);
        command.arg(&store).args(options);
        let mut run = ready(command.args([image, "sh", "-c", script]));
        shop.hcs(&format!("shutdown {id}")).fine();
        assert_eq!(
            run.wait().unwrap().code(),
            Some(code),
            "{image} {options:?}"
        );
    }
    let refused = shop.hcs("run --store store odd true");
    assert!(
        refused.err.contains("\"SIGNOT\" in StopSignal"),
        "{refused:?}"
    );
}

#[test]
fn layers_are_shared_and_stay_as_they_are() {
    let shop = Shop::new();
    shop.configured("other", &json!({})).fine();
    let layers = || fs::read_dir(shop.store().join("layers")).unwrap().count();
    assert_eq!(layers(), 1);
    for name in ["tools", "other"] {
        let script = "echo new > /srv/app/file && touch /mine && ls -d /mine && cat /srv/app/file";
        assert_eq!(shop.shell("", name, script).fine(), "/mine\nnew\n");
    }
    assert_eq!(
        shop.shell("", "tools", "cat /srv/app/file; ls / | cat")
            .fine(),
        "image\nbin\ndev\netc\nproc\nsrv\nsys\ntmp\n"
    );
    assert_eq!(layers(), 1);
    // It sees nothing of this machine's files.
    assert!(
        !shop
            .shell("", "tools", "cat /etc/passwd")
            .fine()
            .contains("daemon")
    );
}

#[test]
fn an_image_of_another_program_is_unpacked_when_it_is_used() {
    let shop = Shop::new();
    shop.script(
        "$HCS image save --store store --format directory --output layout tools && \
         umoci config --image layout:tools:latest --tag theirs --config.env A=theirs 2>&1 && \
         skopeo --insecure-policy copy -q oci:layout:theirs oci:store/oci:theirs:1 && rm -rf store/layers/*",
    );
    assert_eq!(shop.shell("", "theirs:1", "echo $A").fine(), "theirs\n");
    assert_eq!(
        fs::read_dir(shop.store().join("layers")).unwrap().count(),
        1
    );
}

#[test]
fn a_word_is_an_image_or_a_command_by_its_place() {
    let shop = Shop::new();
    // A program of this machine and an image, with the same name.
    shop.hcs("image tag --store store tools ls").fine();
    let host = shop.line(&["run", "--", "ls", "-d", "/usr/lib"]).fine();
    assert_eq!(host, "/usr/lib\n");
    let image = shop.hcs("run --store store ls ls -d /srv/app").fine();
    assert_eq!(image, "/srv/app\n");
    let image = shop.hcs("run --store store ls -- ls -d /srv/app").fine();
    assert_eq!(image, "/srv/app\n");
    let layer = shop.hcs("run --layer root ls -d /srv/app").fine();
    assert_eq!(layer, "/srv/app\n");
    // By the first digits of its id.
    let about: Value =
        serde_json::from_str(&shop.hcs("image inspect --store store ls").fine()).unwrap();
    let id = about["Id"].as_str().unwrap();
    let short = &id["sha256:".len()..][..12];
    assert_eq!(shop.shell("", short, "echo fine").fine(), "fine\n");
}

#[test]
fn what_cannot_be_run_is_answered_with_what_to_type() {
    let shop = Shop::new();
    for (line, texts) in [
        (
            "run --store store tols sh",
            &[
                "there is no image \"tols\"",
                "there is tools:latest",
                "`hcs image load FILE`",
            ][..],
        ),
        (
            "run --store store ls -l",
            &["there is no image \"ls\"", "`hcs run -- ls`"],
        ),
        (
            "run --store nothing tools",
            &["there is no image \"tools\" in ", "hcs image load"],
        ),
        (
            "create --store store --image tols",
            &["there is no image \"tols\""],
        ),
        (
            "run --store store -- true",
            &["--store names where an image is"],
        ),
        (
            "run --entrypoint sh -- true",
            &["--entrypoint stands in place"],
        ),
        (
            "run --store store tools",
            &["the image tools:latest says of no command"],
        ),
        ("run --store store ../x", &["no name of an image"]),
        (
            "run --store store --env-file none tools sh",
            &["none cannot be read"],
        ),
    ] {
        let said = shop.hcs(line);
        assert_eq!((said.code, said.out.as_str()), (Some(125), ""), "{said:?}");
        for text in texts {
            assert!(said.err.contains(text), "{line}: {said:?}");
        }
    }
    assert!(!shop.path().join("nothing").exists());
    let said = shop.hcs("run --store store tools no-such-program");
    assert_eq!(said.code, Some(127), "{said:?}");
}

#[test]
fn hostile_configurations_are_refused_or_do_no_harm() {
    let shop = Shop::new();
    for (execution, text) in [
        (json!({"Entrypoint": "sh"}), "expected a sequence"),
        (json!({"Env": {"A": "b"}}), "expected a sequence"),
        (json!({"User": 0}), "expected a string"),
        (json!([]), "invalid"),
    ] {
        let said = shop.configured("bad", &execution);
        assert_eq!(said.code, Some(125), "{execution}: {said:?}");
        assert!(said.err.contains(text), "{execution}: {said:?}");
    }
    for (execution, text) in [
        (
            json!({"User": "app\u{0}x"}),
            "in User; expected text without NUL",
        ),
        (
            json!({"WorkingDir": "/\u{0}"}),
            "in WorkingDir; expected text without NUL",
        ),
        (json!({"Env": ["A\u{0}=b"]}), "in Env; expected"),
        (
            json!({"Env": ["A=b", "no variable"]}),
            "in Env; expected NAME=VALUE",
        ),
        (
            json!({"Env": [format!("A={}", "x".repeat(1 << 20))]}),
            "have 1048577 bytes",
        ),
        (
            json!({"Labels": {"a": 1}}),
            "in Labels; expected an object of texts",
        ),
        (json!({"Cmd": ["sh", "\u{0}"]}), "NUL"),
        (json!({"Cmd": [""]}), "it is empty"),
        (json!({"User": "missing-user"}), "missing-user"),
        (json!({"WorkingDir": "../../../no/such"}), "/no/such"),
        (json!({"User": "app:\u{1b}[2J"}), "\\u{1b}[2J"),
    ] {
        shop.configured("odd", &execution).fine();
        let said = match execution.get("Cmd") {
            Some(_) => shop.hcs("run --store store odd"),
            None => shop.shell("", "odd", "true"),
        };
        assert_eq!(
            (said.code, said.out.as_str()),
            (Some(125), ""),
            "{execution}: {said:?}"
        );
        assert!(said.err.contains(text), "{execution}: {said:?}");
        assert!(!said.err.contains('\u{1b}'), "{said:?}");
    }
    // Nothing leads out of the root.
    let execution = json!({"WorkingDir": "../../../srv/app", "User": "", "Env": [], "Cmd": null});
    shop.configured("fine", &execution).fine();
    assert_eq!(shop.shell("", "fine", "cat file").fine(), "image\n");
}

#[test]
fn a_store_that_others_can_change_is_not_used() {
    let shop = Shop::new();
    shop.script("chmod 777 store");
    let said = shop.shell("", "tools", "true");
    assert_eq!(said.code, Some(125), "{said:?}");
    assert!(
        said.err.contains("must not be writable by others"),
        "{said:?}"
    );
    shop.script("chmod 700 store");
    // A link of root's is followed: it leads to what is checked.
    symlink("store", shop.path().join("link")).unwrap();
    let said = shop.line(&["run", "--store", "link", "tools", "echo", "fine"]);
    assert_eq!(said.fine(), "fine\n");
}

#[test]
fn an_option_behind_the_image_is_told_where_it_belongs() {
    let shop = Shop::new();
    let said = shop.hcs("run --store store tools --memory 64 ls");
    assert_eq!(said.code, Some(127), "{said:?}");
    assert!(
        said.err.contains("hcs run --memory ... IMAGE CMD"),
        "{said:?}"
    );
}

#[test]
fn volumes_of_an_image_are_mounts_with_its_files_that_go_with_the_container() {
    let shop = Shop::new();
    let execution = json!({
        "Volumes": {"/srv/app": {}, "/new/deep": {}, "srv": {}}, "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
    });
    shop.configured("app", &execution).fine();
    let script = "cat /srv/app/file && stat -c %u /srv/app/file && echo mine > /srv/app/file && touch /new/deep/x && \
                  cat /srv/app/file && while read -r _ _ _ _ at _; do case $at in /srv*|/new*) echo $at;; esac; done \
                  < /proc/self/mountinfo; ! touch /x 2>/dev/null";
    let mounted = "/srv\n/new/deep\n/srv/app\n";
    for options in [
        "--read-only",
        "--read-only --userns",
        "--read-only --userns=no",
    ] {
        let said = shop.shell(options, "app", script);
        assert_eq!(
            said.fine(),
            format!("image\n7\nmine\n{mounted}"),
            "{options}"
        );
    }
    // Nothing of it stays, and no other container sees it.
    assert_eq!(
        shop.shell("", "app", "cat /srv/app/file; ls /new/deep")
            .fine(),
        "image\n"
    );
    // What is named on the line takes the place of a volume, and of those below.
    fs::create_dir(shop.path().join("data")).unwrap();
    fs::write(shop.path().join("data/own"), "").unwrap();
    let said = shop.shell(
        "--mount ./data:/srv --tmpfs /new",
        "app",
        "ls /srv /new | cat",
    );
    assert_eq!(said.fine(), "/new:\n\n/srv:\nown\n");
    assert_eq!(fs::read_dir(shop.path().join("data")).unwrap().count(), 1);
    // A mount in a volume is there as well.
    let said = shop.shell(
        "--mount ./data:/srv/app/data",
        "app",
        "ls /srv/app /srv/app/data | cat",
    );
    assert_eq!(
        said.fine(),
        "/srv/app:\ndata\nfile\n\n/srv/app/data:\nown\n"
    );
    let id = unique("volumes");
    shop.hcs(&format!("create --image app --store store --id {id}"))
        .fine();
    let about: Value = serde_json::from_str(&shop.hcs(&format!("inspect {id}")).fine()).unwrap();
    shop.hcs(&format!("terminate {id}")).fine();
    assert!(
        about
            .to_string()
            .contains(r#""ExposedPorts":["53/udp","80/tcp"]"#),
        "{about}"
    );
    // Those of the container's own file systems do no harm.
    let own = json!({"Volumes": {"/etc": {}, "/proc": {}, "/dev/shm": {}, "/sys/fs": {}}});
    shop.configured("own", &own).fine();
    let said = shop.shell(
        "--hostname box",
        "own",
        "cat /etc/hostname /proc/self/comm; touch /etc/x /dev/shm/x",
    );
    assert_eq!(said.fine(), "box\ncat\n");
    let odd = json!({"Volumes": {"/a/../b": {}}});
    shop.configured("odd", &odd).fine();
    let refused = shop.hcs("run --store store odd true");
    assert!(
        refused.err.contains("\"/a/../b\" in Volumes"),
        "{refused:?}"
    );
}

#[test]
fn an_image_for_another_machine_runs_only_where_it_is_asked_for() {
    let shop = Shop::new();
    let script = "mkdir other && $HCS image save --store store --format docker tools | tar -C other -x && cd other && \
                  config=$(ls | grep json$ | grep -v manifest) && \
                  sed -i 's/\"architecture\":\"[^\"]*\"/\"architecture\":\"s390x\"/' $config";
    shop.script(script);
    let told = shop.hcs("image load --store store --name far --platform linux/arm64 other");
    assert!(
        told.err.contains("no image for linux/arm64") && told.err.contains("linux/s390x"),
        "{told:?}"
    );
    shop.hcs("image load --store store --name far other").fine();
    let list = shop.hcs("image list --store store").fine();
    assert!(list.contains("linux/s390x"), "{list}");
    let about = shop.hcs("image inspect --store store far").fine();
    let about: Value = serde_json::from_str(&about).unwrap();
    assert_eq!(about["Architecture"], "s390x");
    for verb in ["run --store store", "create --store store --image"] {
        let told = shop.hcs(&format!("{verb} far"));
        assert_eq!(told.code, Some(125), "{told:?}");
        for part in [
            "the image far is for linux/s390x",
            "this machine is linux/",
            "binfmt_misc",
            "--pull always",
        ] {
            assert!(told.err.contains(part), "{part}: {told:?}");
        }
    }
    // Its program is one of this machine's, whatever it says.
    let run = shop.hcs("run --store store --platform linux/s390x far cat /srv/app/file");
    assert_eq!(run.fine(), "image\n");
    let told = shop.hcs("run --store store --pull never --platform linux/arm64 tools true");
    assert!(told.err.contains("linux/arm64 was asked for"), "{told:?}");
    let odd = shop.hcs("run --store store --platform windows/amd64 tools true");
    assert!(odd.err.contains("expected linux/ARCH"), "{odd:?}");
    let odd = shop.line(&["run", "--platform", "linux/arm64", "--", "true"]);
    assert!(odd.err.contains("no image is named"), "{odd:?}");
}

#[test]
fn an_image_that_costs_too_much_is_not_unpacked_to_run() {
    let shop = Shop::new();
    // They are unpacked again, as those of an image that another program has put there.
    shop.script("rm -r store/layers/*");
    for (option, text) in [
        ("--max-files 3", "more than 3 entries"),
        ("--max-depth 1", "more than 1 names"),
        ("--max-time 0.000000001", "longer than 1ns"),
    ] {
        let told = shop.hcs(&format!("run --store store {option} tools true"));
        assert_eq!(told.code, Some(125), "{told:?}");
        assert!(told.err.contains(text), "{told:?}");
        let layers = fs::read_dir(shop.store().join("layers")).unwrap();
        assert_eq!(layers.count(), 0);
    }
    let run = shop.hcs("run --store store --max-size 100M --max-depth 9 tools cat /srv/app/file");
    assert_eq!(run.fine(), "image\n");
    let odd = shop.line(&["run", "--max-files", "3", "--", "true"]);
    assert!(odd.err.contains("--max-files says how an image"), "{odd:?}");
}

#[test]
fn labels_of_the_line_and_of_the_image_are_shown() {
    let shop = Shop::new();
    let labels = json!({"Labels": {"org.example": "image"}});
    shop.configured("app", &labels).fine();
    let id = unique("labels");
    let line = format!("create --store store --image app -l tier=web --label plain --id {id}");
    shop.hcs(&line).fine();
    let about: Value = serde_json::from_str(&shop.hcs(&format!("inspect {id}")).fine()).unwrap();
    let container = &about["Document"]["Container"];
    assert_eq!(container["Labels"], json!({"tier": "web", "plain": ""}));
    let image = &container["Storage"]["Image"];
    assert_eq!(image["Labels"], json!({"org.example": "image"}));
    shop.hcs(&format!("terminate {id}")).fine();
    let odd = shop.line(&["run", "--label", "=web", "--", "true"]);
    assert!(odd.err.contains("expected NAME or NAME=TEXT"), "{odd:?}");
}
