//! Images of registries: Debian's `docker-registry` on loopback, and one that stalls.

#[path = "../../../hcs_registry/tests/pulls/server.rs"]
#[expect(dead_code, reason = "other tests use all of it")]
mod server;

use std::{
    fs::{self, Permissions},
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use hcs_storage::Digest;
use serde_json::{Value, json};

use crate::{
    common::{Ended, ended, hcs, signal},
    image_runs::Shop,
};
use server::{End, Server, ServerAnswer};

/// `user` and `pass` as base64, and as the registry knows them.
const LOGIN: &str = "dXNlcjpwYXNz";
const KNOWN: &str = "user:$2y$05$vmvA2RjzlT2/5aNQZnVr/.hXzY0PCIFjUUxdXiadgsnX/5T2dNpty\n";

/// A registry that ends with the test.
pub(crate) struct Registry {
    child: Child,
    address: SocketAddr,
}

impl Registry {
    /// Starts one in `place`, with a certificate of its own (`ca.crt`) and a user if `secure`.
    pub(crate) fn new(place: &Path, secure: bool) -> Self {
        let root = place.join("registry");
        let mut settings = json!({
            "version": "0.1", "storage": {"filesystem": {"rootdirectory": root}}, "http": {"addr": "127.0.0.1:0"},
        });
        if secure {
            let certificates = "openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -subj /CN=ca -days 2 && \
                openssl req -newkey rsa:2048 -nodes -keyout key -out csr -subj /CN=registry && \
                echo subjectAltName=IP:127.0.0.1 > ext && \
                openssl x509 -req -in csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out cert";
            let made = Command::new("sh")
                .args(["-c", certificates])
                .current_dir(place)
                .output();
            let made = made.unwrap();
            assert!(made.status.success(), "{made:?}");
            fs::write(place.join("users"), KNOWN).unwrap();
            settings["http"]["tls"] =
                json!({"certificate": place.join("cert"), "key": place.join("key")});
            settings["auth"] = json!({"htpasswd": {"realm": "test", "path": place.join("users")}});
        }
        // JSON is YAML, too.
        let file = place.join("registry.yml");
        fs::write(&file, settings.to_string()).unwrap();
        let mut child = Command::new("docker-registry")
            .arg("serve")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = child.stderr.take().unwrap();
        // From here on it ends with the test, whatever fails.
        let mut registry = Self {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
        let listens = lines.find_map(|line| {
            let (_, rest) = line.split_once("listening on ")?;
            rest.split(['"', ',']).next()?.parse().ok()
        });
        // What it says later must not hold it up.
        thread::spawn(move || lines.for_each(drop));
        registry.address = listens.unwrap();
        registry
    }

    pub(crate) fn image(&self) -> String {
        format!("{}/team/tools:1", self.address)
    }

    /// Copies the image `name` of the shop into it, as `team/tools:1`.
    pub(crate) fn take(&self, shop: &Shop, name: &str) {
        self.take_as(shop, name, "");
    }

    /// The same in another form, as these options of skopeo say.
    fn take_as(&self, shop: &Shop, name: &str, form: &str) {
        shop.script(&format!(
            "rm -f out.tar && $HCS image save --store store --output out.tar {name} && \
             skopeo copy --quiet --dest-tls-verify=false --dest-creds user:pass {form} oci-archive:out.tar docker://{}",
            self.image()
        ));
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // Its test may fail already.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Runs `hcs` in the shop as a user without any credentials, but for those in the folder `config`.
fn at(shop: &Shop, words: &[&str]) -> Ended {
    ended(&mut command(shop, words))
}

fn command(shop: &Shop, words: &[&str]) -> Command {
    let mut command = hcs(words);
    let home = shop.path().join("home");
    command
        .current_dir(shop.path())
        .env("HOME", &home)
        .env("XDG_RUNTIME_DIR", &home)
        .env("XDG_CONFIG_HOME", &home)
        .env("DOCKER_CONFIG", shop.path().join("config"))
        .env_remove("REGISTRY_AUTH_FILE");
    command
}

#[test]
fn an_image_of_a_registry_runs() {
    let shop = Shop::new();
    let registry = Registry::new(shop.path(), false);
    let image = registry.image();
    registry.take(&shop, "tools");
    let run = |pull: &[&str]| {
        let words = [
            &["run", "--store", "other"],
            pull,
            &[&image, "cat", "/srv/app/file"],
        ]
        .concat();
        at(&shop, &words)
    };
    let said = run(&["--pull", "never"]);
    assert_eq!(said.code, Some(125), "{said:?}");
    assert!(said.err.contains("hcs image pull"), "{said:?}");
    assert!(!shop.path().join("other").exists());
    assert_eq!(run(&[]).fine(), "image\n");
    // The name stands for another image by now.
    shop.script("echo newer > root/srv/app/file && $HCS image import --store store root newer");
    registry.take(&shop, "newer");
    assert_eq!(run(&[]).fine(), "image\n");
    assert_eq!(run(&["--pull", "always"]).fine(), "newer\n");
    let said = at(
        &shop,
        &["run", "--store", "other", &format!("{image}0"), "true"],
    );
    assert!(said.err.contains("has no image team/tools"), "{said:?}");
    // By its digest it is there, and comes from the registry where it is not.
    let pulled = at(
        &shop,
        &["image", "pull", "--store", "other", "--json", &image],
    )
    .fine();
    let pulled: Value = serde_json::from_str(&pulled).unwrap();
    let digest = pulled[0]["Manifest"].as_str().unwrap().to_owned();
    let exact = format!("{}/team/tools@{digest}", registry.address);
    for (place, pull) in [
        ("other", "never"),
        ("third", "missing"),
        ("third", "always"),
    ] {
        let words = [
            "run",
            "--store",
            place,
            "--pull",
            pull,
            &exact,
            "cat",
            "/srv/app/file",
        ];
        assert_eq!(at(&shop, &words).fine(), "newer\n", "{place} {pull}");
    }
    // The configuration says that names without a registry are there, too.
    let conf = format!(
        "[[registry]]\nprefix = \"docker.io/library\"\nlocation = \"{}/team\"\n",
        registry.address
    );
    let file = shop.path().join("registries.conf");
    fs::write(&file, conf).unwrap();
    let mut pull = command(
        &shop,
        &["image", "pull", "--store", "other", "--json", "tools:1"],
    );
    // A proxy, where nothing is here, is not asked for a registry of this machine.
    pull.env("CONTAINERS_REGISTRIES_CONF", &file)
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .env("ALL_PROXY", "http://127.0.0.1:1");
    let pulled = ended(&mut pull).fine();
    let pulled: Value = serde_json::from_str(&pulled).unwrap();
    assert_eq!(pulled[0]["Names"][0], "tools:1");
    let odd = at(&shop, &["run", "--pull", "never", "--", "true"]);
    assert!(odd.err.contains("no image is named"), "{odd:?}");
}

/// Manifests of docker (schema 2), and layers that are compressed by zstd.
#[test]
fn each_form_of_a_registry_runs() {
    let shop = Shop::new();
    for (form, manifest, layer) in [
        (
            "--format v2s2",
            "docker.distribution.manifest.v2",
            "docker.image.rootfs.diff.tar.gzip",
        ),
        (
            "--format oci --dest-compress-format zstd",
            "oci.image.manifest.v1",
            "oci.image.layer.v1.tar+zstd",
        ),
        (
            "--format oci",
            "oci.image.manifest.v1",
            "oci.image.layer.v1.tar+gzip",
        ),
    ] {
        // Of its own: skopeo takes a layer that is there in whatever form.
        let place = tempfile::tempdir().unwrap();
        let registry = Registry::new(place.path(), false);
        let image = registry.image();
        registry.take_as(&shop, "tools", form);
        let raw = format!("skopeo inspect --raw --tls-verify=false docker://{image}");
        let raw = shop.script(&raw);
        assert!(
            raw.contains(manifest) && raw.contains(layer),
            "{form}: {raw}"
        );
        let words = [
            "run",
            "--store",
            "other",
            "--pull",
            "always",
            &image,
            "cat",
            "/srv/app/file",
        ];
        assert_eq!(at(&shop, &words).fine(), "image\n", "{form}");
    }
    // One layer, however it came.
    assert_eq!(
        fs::read_dir(shop.path().join("other/layers"))
            .unwrap()
            .count(),
        1
    );
}

/// A bar of bytes and of what is done, which is not there without a terminal, nor where it is not wanted.
#[test]
fn a_pull_shows_how_far_it_is_on_a_terminal_alone() {
    let shop = Shop::new();
    let registry = Registry::new(shop.path(), false);
    registry.take(&shop, "tools");
    let image = registry.image();
    at(&shop, &["image", "pull", "--store", "plain", &image]).fine();
    for (store, quiet) in [("shown", ""), ("quiet", "--quiet")] {
        let line = format!("exec $HCS image pull {quiet} --store {store} {image}");
        let plain = command(&shop, &["image"]);
        let mut terminal = Command::new("script");
        let variables = plain
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?)));
        terminal
            .args(["--quiet", "--return", "--command", &line, "/dev/null"])
            .envs(variables)
            .env("HCS", plain.get_program())
            .env("TERM", "xterm")
            .current_dir(shop.path())
            .stdin(Stdio::null());
        let shown = ended(&mut terminal).fine();
        for part in ["of ", "B/s", "unpacking"] {
            assert_eq!(shown.contains(part), quiet.is_empty(), "{part}: {shown:?}");
        }
        assert!(shown.trim_end().ends_with(&image), "{shown:?}");
    }
}

#[test]
fn an_image_for_another_machine_is_pulled_and_run_only_where_it_is_asked_for() {
    let shop = Shop::new();
    let registry = Registry::new(shop.path(), false);
    // No emulator is needed to run it: only its configuration says so.
    let foreign = |config: &mut Value| config["architecture"] = "s390x".into();
    shop.changed("foreign", foreign).fine();
    registry.take(&shop, "foreign");
    let image = registry.image();
    let line = |words: &[&str]| at(&shop, words);
    let run =
        |options: &[&str]| line(&[&["run"], options, &[&*image, "cat", "/srv/app/file"]].concat());
    for refused in [
        run(&["--store", "other"]),
        line(&[
            "image",
            "pull",
            "--store",
            "other",
            "--platform",
            "linux/amd64",
            &image,
        ]),
    ] {
        assert_eq!(refused.code, Some(125), "{refused:?}");
        let why = "it has no image for linux/amd64";
        assert!(
            refused.err.contains(why) && refused.err.contains("but for linux/s390x"),
            "{refused:?}"
        );
    }
    assert_eq!(
        line(&["image", "list", "-q", "--store", "other"]).fine(),
        ""
    );
    let blobs = fs::read_dir(shop.path().join("other/oci/blobs/sha256")).unwrap();
    assert_eq!(blobs.count(), 0);
    line(&[
        "image",
        "pull",
        "--store",
        "other",
        "--platform",
        "linux/s390x",
        &image,
    ])
    .fine();
    // What is there for another machine does not run unasked, and the way is told.
    for never in [
        &["--store", "other"][..],
        &["--store", "other", "--pull", "never"],
    ] {
        let told = run(never);
        assert_eq!(told.code, Some(125), "{told:?}");
        assert!(
            told.err
                .contains("is for linux/s390x, and this machine is linux/amd64"),
            "{told:?}"
        );
        assert!(
            told.err
                .contains("--platform linux/s390x runs it nevertheless"),
            "{told:?}"
        );
    }
    assert_eq!(
        run(&["--store", "other", "--platform", "linux/s390x"]).fine(),
        "image\n"
    );
    assert_eq!(
        run(&["--store", "third", "--platform", "linux/s390x"]).fine(),
        "image\n"
    );
}

#[test]
fn a_registry_with_a_certificate_and_a_password_is_used_as_docker_does() {
    let shop = Shop::new();
    let registry = Registry::new(shop.path(), true);
    let image = registry.image();
    registry.take(&shop, "tools");
    let words = |options: &[&'static str]| -> Vec<String> {
        let words = ["image", "pull", "--store", "other"].iter().chain(options);
        words
            .map(|word| (*word).to_owned())
            .chain([image.clone()])
            .collect()
    };
    let pull = |options: &[&'static str], trusted: bool| {
        let words = words(options);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut pull = command(&shop, &words);
        if trusted {
            pull.env("SSL_CERT_FILE", shop.path().join("ca.crt"));
        }
        let path = std::env::var("PATH").unwrap();
        ended(pull.env("PATH", format!("{}:{path}", shop.path().display())))
    };
    let configured = |config: &Value| {
        let folder = shop.path().join("config");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("config.json"), config.to_string()).unwrap();
    };
    let host = registry.address.to_string();
    let unknown = pull(&[], false);
    assert!(unknown.err.contains("UnknownIssuer"), "{unknown:?}");
    let denied = pull(&[], true);
    assert_eq!(denied.code, Some(125), "{denied:?}");
    assert!(denied.err.contains("no credentials are kept"), "{denied:?}");
    configured(&json!({"auths": {&host: {"auth": "dXNlcjp3cm9uZw=="}}}));
    let wrong = pull(&[], true);
    assert!(
        wrong.err.contains("with the credentials that are kept"),
        "{wrong:?}"
    );
    let name = format!("{image}\n");
    configured(&json!({"auths": {format!("https://{host}/v2/"): {"auth": LOGIN}}}));
    assert_eq!(pull(&[], true).fine(), name);
    assert_eq!(pull(&["--insecure"], false).fine(), name);
    let helper = shop.path().join("docker-credential-hcs-test");
    let script = "#!/bin/sh\nread -r host || true\n\
                  case \"$1 $host\" in \"get 127.0.0.1:\"*) echo '{\"Username\": \"user\", \"Secret\": \"pass\"}';; *) exit 1;; esac\n";
    fs::write(&helper, script).unwrap();
    fs::set_permissions(&helper, Permissions::from_mode(0o755)).unwrap();
    configured(&json!({"credHelpers": {&host: "hcs-test"}}));
    assert_eq!(pull(&[], true).fine(), name);
    let failing = "#!/bin/sh\necho cannot open the safe; exit 1\n";
    fs::write(&helper, failing).unwrap();
    let failed = pull(&[], true);
    assert!(failed.err.contains("cannot open the safe"), "{failed:?}");
}

#[test]
fn a_registry_of_another_machine_is_reached_by_the_proxy_unless_it_is_excepted() {
    let shop = Shop::new();
    let proxy = Server::new(|_| ServerAnswer::with(403, b"not here"));
    let pull = |except: &str| {
        let mut pull = command(&shop, &["image", "pull", "registry.invalid/team/tool"]);
        for name in ["ALL_PROXY", "all_proxy", "https_proxy", "no_proxy"] {
            pull.env_remove(name);
        }
        pull.env("HTTPS_PROXY", format!("http://{}", proxy.address));
        let told = ended(pull.env("NO_PROXY", except));
        assert_eq!(told.code, Some(125), "{told:?}");
        assert!(told.err.contains("registry.invalid"), "{told:?}");
    };
    pull("other.invalid");
    let asked: Vec<_> = proxy.asked().into_iter().map(|asked| asked.path).collect();
    assert_eq!(asked, ["registry.invalid:443"]);
    pull("other.invalid,registry.invalid");
    assert_eq!(proxy.asked().len(), 1);
}

#[test]
fn a_pull_that_is_killed_leaves_nothing_that_the_next_one_does_not_remove() {
    let shop = Shop::new();
    let registry = Registry::new(shop.path(), false);
    registry.take(&shop, "tools");
    let layer = |letter: &str| format!("sha256:{}", letter.repeat(64));
    let layers = [layer("0"), layer("1")];
    let config = json!({
        "architecture": "any", "os": "linux", "rootfs": {"type": "layers", "diff_ids": layers},
    });
    let config = config.to_string();
    let id = Digest::of(config.as_bytes()).to_string();
    let stalling = Server::new(move |asked| {
        if asked.path.ends_with(&id) {
            return ServerAnswer::ok(config.as_bytes());
        }
        if asked.path.contains("/blobs/") {
            return ServerAnswer::ok(&[7; 1_000_000]).end(End::Stall(500_000));
        }
        let part = |kind: &str, digest: &str, size: usize| {
            let kind = format!("application/vnd.oci.image.{kind}");
            json!({"mediaType": kind, "digest": digest, "size": size})
        };
        let layers = layers.each_ref();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": part("config.v1+json", &id, config.len()),
            "layers": layers.map(|digest| part("layer.v1.tar", digest, 1_000_000)),
        });
        ServerAnswer::ok(manifest.to_string().as_bytes())
    });
    let blobs = shop.path().join("other/oci/blobs/sha256");
    let held = || {
        fs::read_dir(&blobs).map_or(0, |entries| {
            entries
                .flatten()
                .filter(|entry| entry.metadata().is_ok_and(|about| about.len() > 0))
                .count()
        })
    };
    let image = format!("{}/tools", stalling.address);
    let mut killed = command(&shop, &["image", "pull", "--store", "other", &image])
        .spawn()
        .unwrap();
    // The configuration and two halves of layers.
    let begun = Instant::now();
    while held() < 3 {
        let ended = killed.try_wait().unwrap();
        let is_late = begun.elapsed() > Duration::from_secs(60);
        if ended.is_some() || is_late {
            killed.kill().unwrap();
            killed.wait().unwrap();
            panic!("the pull has {} contents, and ended as {ended:?}", held());
        }
        thread::yield_now();
    }
    signal(&killed, rustix::process::Signal::KILL);
    killed.wait().unwrap();
    assert_eq!(held(), 3);
    let image = registry.image();
    at(&shop, &["image", "pull", "--store", "other", &image]).fine();
    let names = at(&shop, &["image", "list", "-q", "--store", "other"]).fine();
    assert_eq!((names, held()), (format!("{image}\n"), 3));
}
